// A part of the page as the server gives it now, in the place of what stands there.
import { localTimes } from "./time.js";

export async function replacePart(id, address, signal) {
  const answer = await fetch(address, { headers: { Accept: "text/html" }, signal });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.getElementById(id);
  const stale = document.getElementById(id);
  if (!fresh || !stale) {
    // Another page came: nobody is signed in any more, or something is wrong. It can tell that better than we.
    location.assign(address);
    return null;
  }
  localTimes(fresh);
  stale.replaceChildren(...document.adoptNode(fresh).childNodes);
  return fresh;
}
