"use strict";
const drop = document.getElementById("drop");
const result = document.getElementById("result");
const asked = document.getElementById("asked");
const picture = document.getElementById("picture");
const told = document.getElementById("told");
let shown = null;
let number = 0;

async function ask(file) {
  const mine = ++number;
  if (shown) URL.revokeObjectURL(shown);
  shown = URL.createObjectURL(file);
  picture.src = shown;
  asked.hidden = false;
  told.textContent = "Looking …";
  result.classList.add("busy");
  let text, ok = false;
  try {
    const answer = await fetch("ask", {
      method: "POST", body: file, headers: { "Content-Type": file.type || "application/octet-stream" },
    });
    ok = answer.ok;
    text = await answer.text();
  } catch (error) {
    text = "The server does not answer. Is it still running?";
  }
  if (mine !== number) return;
  told.textContent = ok ? file.name || "" : text;
  result.innerHTML = ok ? text : "";
  result.classList.remove("busy");
  result.scrollIntoView({ block: "nearest" });
}

function first(files) {
  const file = [...files].find((one) => one.type === "" || one.type.startsWith("image/"));
  if (file) ask(file);
  else told.textContent = "That is no image.";
}

for (const id of ["camera", "choose"]) {
  document.getElementById(id).addEventListener("change", (event) => {
    if (event.target.files.length) first(event.target.files);
    event.target.value = "";
  });
}
document.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) drop.classList.remove("over"); });
document.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  first(event.dataTransfer.files);
});
document.addEventListener("paste", (event) => { if (event.clipboardData.files.length) first(event.clipboardData.files); });
