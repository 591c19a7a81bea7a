// Parts of the page that change by themselves, marked with data-follow and an ID, are renewed until none is any more; then the rest of the page follows.
// Without scripts the browser reloads the whole page now and then, as a noscript in its head says. What has not changed is left alone, so that nothing
// is read out again, and a selection or an open detail stays.
import { fetchPage, takeOver } from "./page.js";

const pause = 1000; // ms
const alone = 15 * 60 * 1000; // ms; nobody who touches nothing for so long is kept signed in by a page
const nudgePause = 10 * 1000; // ms

let touched = Date.now();
let nudged = 0;
for (const sign of ["keydown", "pointerdown", "wheel", "visibilitychange"]) addEventListener(sign, () => { touched = Date.now(); }, { capture: true, passive: true });

export function follow(root) {
  const parts = [...root.querySelectorAll("[data-follow][id]")];
  if (parts.length === 0) return;
  const seen = new Map(parts.map((part) => [part.id, part.innerHTML]));
  const renew = async () => {
    if (Date.now() - touched > alone) return void setTimeout(renew, pause);
    try {
      await nudge(parts);
      const page = await fetchPage(location.href);
      const fresh = parts.map((part) => page.getElementById(part.id));
      if (!fresh.some(Boolean)) return location.replace(location.href.split("#")[0]); // another page came, which can tell better why
      if (!fresh.some((part) => part && "follow" in part.dataset)) return theRest(page);
      parts.forEach((part, i) => {
        if (!fresh[i]) return;
        const now = fresh[i].innerHTML;
        for (const name of ["follow", "nudge"]) {
          if (name in fresh[i].dataset) part.dataset[name] = fresh[i].dataset[name];
          else delete part.dataset[name];
        }
        if (now !== seen.get(part.id)) takeOver(part, fresh[i]);
        seen.set(part.id, now);
      });
    } catch {
      // Once more, later.
    }
    setTimeout(renew, pause);
  };
  setTimeout(renew, pause);
}

// A part may ask for something that has to go on as long as somebody looks at the page: it is sent to the address in data-nudge.
async function nudge(parts) {
  for (const part of parts) {
    if (!part.dataset.nudge || document.visibilityState !== "visible" || Date.now() - nudged < nudgePause) continue;
    nudged = Date.now();
    await fetch(part.dataset.nudge, { method: "POST" });
  }
}

// The whole page, as it is now. Its heading is read out, and what it has to say first.
function theRest(page) {
  const said = document.createElement("p");
  said.className = "hidden";
  said.setAttribute("role", "status");
  document.querySelector("footer").append(said);
  document.title = page.title;
  const main = document.getElementById("main");
  takeOver(main, page.getElementById("main"));
  said.textContent = [main.querySelector("h1"), main.querySelector(".note, .lead")].map((e) => e?.textContent.trim()).join(" ");
}
