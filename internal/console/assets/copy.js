// A button beside each text that is there to be copied, marked with data-copy. Its words come with the page, on its body.

export function copyButtons(root) {
  const words = document.body.dataset;
  if (!navigator.clipboard) return;
  for (const element of root.querySelectorAll("[data-copy]:not(body)")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "quiet copy";
    const label = element.closest("dd")?.previousElementSibling?.textContent; // which one, for whoever only hears it
    const say = (text) => {
      button.textContent = text;
      if (label) button.setAttribute("aria-label", `${text}: ${label}`);
    };
    say(words.copy);
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(element.textContent);
      say(words.copied);
      setTimeout(() => say(words.copy), 2000);
    });
    element.after(button);
  }
}
