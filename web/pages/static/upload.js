// Sends images as one multipart request: `options` first, so that workers begin while the rest still comes in.

import { HEAD_BYTES, claimsImage, skipByContent, skipByName } from "./image_files.js";

const at = (id) => document.getElementById(id);
const form = at("upload");
const drop = at("drop");
const ARCHIVE = /\.(zip|tar|tgz|tar\.gz)$/i;
let files = []; // {file, name}
let skipped = []; // file names of folders that are not sent, with the reason
let request = null;
let key = "";

// Works without https too, where crypto.randomUUID is missing.
function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function size(bytes) {
  const units = ["B", "kB", "MB", "GB"];
  let step = 0;
  for (; bytes >= 1000 && step < 3; step += 1) bytes /= 1000;
  return `${bytes.toFixed(bytes < 10 && step ? 1 : 0)} ${units[step]}`;
}

// Characters that turn the order of a name's characters, written out; the file is sent with its name as it is.
function visible(text) {
  return text.replace(/[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g,
    (found) => `\\u${found.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

function show(part) {
  for (const id of ["ready", "sending"]) at(id).hidden = id !== part;
}

function trouble(text, entries = []) {
  const box = at("trouble");
  box.replaceChildren();
  box.hidden = !text;
  if (!text) return;
  const line = document.createElement("p");
  line.textContent = visible(text);
  box.append(line);
  if (!entries.length) return;
  const list = document.createElement("ul");
  for (const entry of entries.slice(0, 20)) {
    const row = document.createElement("li");
    row.textContent = visible([entry.filename || entry.pointer, entry.detail || entry.code].filter(Boolean).join(": "));
    list.append(row);
  }
  box.append(list);
}

function choose(more) {
  const archives = more.filter(({ name }) => ARCHIVE.test(name));
  if (archives.length && (more.length > 1 || files.length)) {
    trouble("An archive is sent by itself: choose one archive, or any number of images.");
    return;
  }
  const known = new Set(files.map(({ name, file }) => `${name}/${file.size}/${file.lastModified}`));
  files = files.concat(more.filter(({ name, file }) => !known.has(`${name}/${file.size}/${file.lastModified}`)));
  trouble("");
  if (!files.length) return;
  key = newKey();
  showSkipped();
  const bytes = files.reduce((sum, { file }) => sum + file.size, 0);
  const one = files.length === 1;
  at("chosen").textContent = `${one ? visible(files[0].name) : `${files.length.toLocaleString()} images`} · ${size(bytes)}`;
  at("go").textContent = one ? "Inspect" : `Inspect ${files.length.toLocaleString()} images`;
  show("ready");
}

// Why a file of a folder is not sent, or "".
async function reason({ file, name }) {
  const inside = name.slice(name.indexOf("/") + 1); // the chosen folder itself may be a hidden one
  const why = skipByName(inside);
  if (why || claimsImage(name)) return why;
  return skipByContent(String.fromCharCode(...new Uint8Array(await file.slice(0, HEAD_BYTES).arrayBuffer())));
}

// Choose the images of a folder, and say how many of its files are left out, and why.
async function chooseFolder(found) {
  const wanted = [];
  for (const each of found) {
    const why = await reason(each);
    if (why) skipped.push(`${visible(each.name)} (${why})`);
    else wanted.push(each);
  }
  if (!wanted.length && !files.length) {
    const count = skipped.length;
    skipped = [];
    trouble(`There are no images in this folder (${count.toLocaleString()} files were looked at).`);
    return;
  }
  choose(wanted);
}

function showSkipped() {
  const count = skipped.length;
  const named = skipped.slice(0, 3).join(", ") + (count > 3 ? ", …" : "");
  at("skipped").hidden = !count;
  at("skipped").textContent = `${count === 1 ? "1 file is" : `${count.toLocaleString()} files are`} not sent: ${named}`;
}

function clear() {
  files = [];
  skipped = [];
  at("files").value = at("folder").value = "";
  trouble("");
  show("");
}

// Every file below a dropped folder; a folder is read in slices until a slice is empty.
async function below(entry) {
  if (entry.isFile) {
    const file = await new Promise((done, failed) => entry.file(done, failed));
    return [{ file, name: entry.fullPath.replace(/^\//, "") }];
  }
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const slice = await new Promise((done, failed) => reader.readEntries(done, failed));
    if (!slice.length) return found;
    for (const child of slice) found.push(...(await below(child)));
  }
}

async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) {
    choose([...transfer.files].map((file) => ({ file, name: file.name })));
    return;
  }
  const found = [];
  for (const entry of entries) found.push(...(await below(entry)));
  await chooseFolder(found);
}

function body() {
  const made = new FormData();
  const name = at("name").value.trim();
  made.append("options", JSON.stringify(name ? { name } : {}));
  const part = files.length === 1 && ARCHIVE.test(files[0].name) ? "archive" : "images";
  for (const { file, name } of files) made.append(part, file, name);
  return made;
}

function answered() {
  let answer = {};
  try { answer = JSON.parse(request.responseText); } catch { /* not of our service */ }
  if (request.status === 202) {
    location.assign(form.dataset.pages + encodeURIComponent(answer.id));
    return;
  }
  if (request.status === 401) {
    location.reload();
    return;
  }
  const again = request.getResponseHeader("Retry-After");
  show("ready");
  const unexplained = request.status === 413
    ? "A proxy in front of the service refuses so large an upload (413): its operator can raise the limit."
    : `The service answered ${request.status}.`;
  trouble((answer.detail || unexplained)
    + (again ? ` Try again in ${again} s.` : ""), answer.errors);
}

function send() {
  trouble("");
  show("sending");
  request = new XMLHttpRequest();
  request.open("POST", form.dataset.submit);
  request.setRequestHeader("Idempotency-Key", key); // kept over "try again": one selection is one batch
  request.upload.onprogress = ({ loaded, total }) => {
    at("sent").value = loaded / total;
    at("sent-text").textContent = loaded < total
      ? `Sending ${Math.floor((100 * loaded) / total)} % · ${size(loaded)} of ${size(total)}`
      : "Sent. The service is storing them.";
  };
  request.onload = answered;
  request.onerror = () => {
    show("ready");
    trouble("The connection broke. Nothing is lost: press Inspect to send them again.");
  };
  request.onabort = () => show("ready");
  request.send(body());
}

for (const id of ["files", "folder"]) {
  at(id).addEventListener("change", ({ target }) => {
    const picked = [...target.files].map((file) => ({ file, name: file.webkitRelativePath || file.name }));
    target.value = "";
    if (id === "files") choose(picked);
    else chooseFolder(picked).catch(({ message }) => trouble(`The folder can't be read: ${message}`));
  });
}
at("clear").addEventListener("click", clear);
at("stop").addEventListener("click", () => request?.abort());
form.addEventListener("submit", (event) => { event.preventDefault(); send(); });

// The whole window takes a drop: a file that misses the box must not replace the page.
let depth = 0;
const marked = (event) => event.dataTransfer?.types.includes("Files");
addEventListener("dragenter", (event) => { if (marked(event)) { depth += 1; drop.classList.add("over"); } });
addEventListener("dragleave", (event) => {
  if (!marked(event)) return;
  depth -= 1;
  if (depth <= 0) drop.classList.remove("over");
});
addEventListener("dragover", (event) => { if (marked(event)) event.preventDefault(); });
addEventListener("drop", (event) => {
  if (!marked(event)) return;
  event.preventDefault();
  depth = 0;
  drop.classList.remove("over");
  if (at("sending").hidden) {
    dropped(event.dataTransfer).catch((error) => trouble(`The folder can't be read: ${error.message}`));
  }
});
form.hidden = false;
