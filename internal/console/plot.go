package console

import (
	"fmt"
	"time"
)

// byDay is a plot of counts of days.
func byDay(id string, first time.Time, counts []int) plot {
	p := plot{ID: id}
	for i, n := range counts {
		p.add(first.AddDate(0, 0, i).Format(time.DateOnly), n)
	}
	p.scale()
	return p
}

// plot is a row of bars. It is drawn one unit wide for each of them and a hundred high, and stretched to where it stands; what can be read of it stands
// around it, or in a table below.
type plot struct {
	ID    string
	Bars  []bar
	Sum   int
	Most  int // the top of the scale
	First string
	Last  string
}

type bar struct {
	Label  string
	N      int
	X      string
	Y      string // of its top
	Height string
}

func (p *plot) add(label string, n int) {
	p.Bars = append(p.Bars, bar{Label: label, N: n})
	p.Sum += n
	p.Most = max(p.Most, n)
}

// scale gives the bars their places, under a scale that ends in a round number.
func (p *plot) scale() {
	if len(p.Bars) == 0 {
		return
	}
	p.First, p.Last = p.Bars[0].Label, p.Bars[len(p.Bars)-1].Label
	p.Most = roundUp(p.Most)
	for i := range p.Bars {
		b := &p.Bars[i]
		height := 100 * float64(b.N) / float64(p.Most)
		if b.N > 0 {
			height = max(height, 1.5) // one among thousands shall be seen
		}
		b.X, b.Y, b.Height = fmt.Sprintf("%.2f", float64(i)+.1), fmt.Sprintf("%.2f", 100-height), fmt.Sprintf("%.2f", height)
	}
}

// Width is that of the drawing.
func (p plot) Width() int { return len(p.Bars) }

// Table are the bars that there is something to say of.
func (p plot) Table() []bar {
	var some []bar
	for _, b := range p.Bars {
		if b.N > 0 {
			some = append(some, b)
		}
	}
	return some
}

// roundUp is the least number of the kind 1, 2 or 5 with zeros that is not less than n.
func roundUp(n int) int {
	for unit := 1; ; unit *= 10 {
		for _, factor := range []int{1, 2, 5} {
			if factor*unit >= n {
				return factor * unit
			}
		}
	}
}
