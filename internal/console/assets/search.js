// Search while somebody types: a form with data-instant="ID" renews that part of the page.
import { replacePart } from "./page.js";

const pause = 250; // ms without a key, before the server is asked

export function instantSearch(root) {
  for (const form of root.querySelectorAll("form[data-instant]")) {
    const part = document.getElementById(form.dataset.instant);
    let timer;
    let asked;
    const search = async () => {
      const filled = [...new FormData(form)].filter(([, value]) => value !== "");
      const address = form.action + (filled.length ? "?" + new URLSearchParams(filled) : "");
      asked?.abort();
      asked = new AbortController();
      part.setAttribute("aria-busy", "true");
      try {
        await replacePart(part.id, address, asked.signal);
        history.replaceState(null, "", address);
        part.removeAttribute("aria-busy");
      } catch (fault) {
        if (fault.name !== "AbortError") part.removeAttribute("aria-busy"); // the button is still there
      }
    };
    form.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(search, pause);
    });
  }
}
