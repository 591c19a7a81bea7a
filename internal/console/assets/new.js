// A new certificate with a key that is made here: the request goes to the server, the key into the archive that comes back, and nowhere else.
import { newKey, signingRequest, privateKey } from "./csr.js";
import { addFile } from "./zip.js";

export function newCertificate(root) {
  const form = root.querySelector("form#new");
  if (!form) return;
  dropFile(form.elements.csr);
  form.addEventListener("submit", async (event) => {
    if (form.elements.key.value !== "browser") return;
    event.preventDefault();
    const button = form.querySelector("button");
    const progress = root.querySelector("#progress");
    button.disabled = true;
    progress.textContent = form.dataset.working;
    try {
      await ask(root, form);
      progress.textContent = "";
    } catch {
      progress.textContent = form.dataset.failed;
    }
    button.disabled = false;
  });
}

async function ask(root, form) {
  const pair = await newKey();
  const fields = new URLSearchParams(new FormData(form));
  fields.set("csr", await signingRequest(pair));
  const answer = await fetch(form.action, { method: "POST", body: fields, headers: { Accept: "text/html" } });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const issued = answer.redirected && page.querySelector("[data-bundle]");
  if (!issued) {
    if (answer.redirected) return location.assign(answer.url); // a name has to be proven first
    return showFaults(root, form, page);
  }
  const archive = new Uint8Array(await (await fetch(issued.dataset.bundle)).arrayBuffer());
  const whole = addFile(archive, `${issued.dataset.stem}.key`, await privateKey(pair));
  const ready = root.querySelector("#ready");
  const download = root.querySelector("#download");
  download.href = URL.createObjectURL(new Blob([whole], { type: "application/zip" }));
  download.download = `${issued.dataset.stem}.zip`;
  root.querySelector("#certificate").href = answer.url;
  form.hidden = true;
  ready.hidden = false;
  ready.focus();
}

// The server shows the form again, with what is wrong: that page takes the place of this one, and a new try makes a new key.
function showFaults(root, form, page) {
  const fresh = page.getElementById("main");
  root.getElementById("main").replaceChildren(...document.adoptNode(fresh).childNodes);
  newCertificate(root);
  root.querySelector("[aria-invalid=true], [role=alert]")?.focus();
}

function dropFile(area) {
  const mark = (on) => (event) => {
    event.preventDefault();
    area.classList.toggle("dropping", on);
  };
  area.addEventListener("dragover", mark(true));
  area.addEventListener("dragleave", mark(false));
  area.addEventListener("drop", async (event) => {
    mark(false)(event);
    const file = event.dataTransfer.files[0];
    if (file) area.value = await file.text();
  });
}
