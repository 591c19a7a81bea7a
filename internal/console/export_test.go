package console

// Routes are the methods and paths of the pages for whoever is signed in.
func Routes() (all [][2]string) {
	for _, r := range routes() {
		all = append(all, [2]string{r.method, r.path})
	}
	return all
}
