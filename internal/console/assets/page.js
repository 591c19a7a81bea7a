// A part of the page as the server gives it now, in the place of what stands there.
import { localTimes } from "./time.js";
import { copyButtons } from "./copy.js";

export async function fetchPage(address, signal) {
  const answer = await fetch(address, { headers: { Accept: "text/html" }, signal });
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

export async function replacePart(id, address, signal) {
  const page = await fetchPage(address, signal);
  const fresh = page.getElementById(id);
  const stale = document.getElementById(id);
  if (!fresh || !stale) {
    // Another page came: nobody is signed in any more, or something is wrong. It can tell that better than we.
    location.assign(address);
    return;
  }
  takeOver(stale, fresh);
}

// The content of one element for that of another; what had the keyboard keeps it, if it is still there.
export function takeOver(stale, fresh) {
  const held = stale.contains(document.activeElement) ? document.activeElement.id : "";
  stale.replaceChildren(...document.importNode(fresh, true).childNodes); // a copy: the page that it comes from may be wanted as a whole
  localTimes(stale);
  copyButtons(stale);
  if (held) document.getElementById(held)?.focus();
}
