// A button beside each text that is there to be copied, marked with data-copy. Its words come with the page.

export function copyButtons(root) {
  const words = document.body.dataset;
  if (!navigator.clipboard) return;
  for (const element of root.querySelectorAll("main [data-copy]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "quiet copy";
    button.textContent = words.copy;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(element.textContent);
      button.textContent = words.copied;
      setTimeout(() => { button.textContent = words.copy; }, 2000);
    });
    element.after(button);
  }
}
