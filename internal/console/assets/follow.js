// A part of the page that changes by itself, marked with data-follow, is renewed until it is no more. Without scripts the browser reloads the whole
// page now and then, as a noscript in its head says.
import { replacePart } from "./page.js";

const pause = 1000; // ms

export function follow(root) {
  const part = root.querySelector("[data-follow]");
  if (!part?.id) return;
  const renew = async () => {
    try {
      const fresh = await replacePart(part.id, location.href);
      if (fresh && !("follow" in fresh.dataset)) return location.reload(); // over: title and all
    } catch {
      // Once more, later.
    }
    setTimeout(renew, pause);
  };
  setTimeout(renew, pause);
}
