"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const raw = Uint8Array.from(atob(data.weights), (c) => c.charCodeAt(0));
const bytes = new DataView(raw.buffer);
const width = data.words + 2;

function weight(layer, head, row, column) {
  const place = ((layer * data.heads + head) * data.words + row) * width + column;
  return bytes.getUint16(2 * place, true) / 65535;
}

const pick = { layer: document.getElementById("layer"), head: document.getElementById("head") };
const map = document.querySelector("#large .map");
const rows = [...map.tBodies[0].rows];
const targets = [...map.tHead.rows[0].cells].slice(1).map((cell) => cell.textContent);

function show(layer, head) {
  pick.layer.value = layer;
  pick.head.value = head;
  map.caption.querySelector("span").textContent = `layer ${layer}, head ${head}`;
  rows.forEach((row, i) => {
    const word = row.cells[0].textContent;
    targets.forEach((target, j) => {
      const value = weight(layer - 1, head - 1, i, j);
      const cell = row.cells[j + 1];
      cell.style.setProperty("--w", Math.sqrt(value).toFixed(3));
      cell.title = `${word} → ${target}: ${value.toFixed(3)}`;
    });
  });
  for (const button of document.querySelectorAll(".overview button")) {
    const chosen = +button.dataset.layer === layer && +button.dataset.head === head;
    button.setAttribute("aria-pressed", String(chosen));
  }
}

function paint(canvas, layer, head) {
  const context = canvas.getContext("2d");
  const ink = getComputedStyle(canvas).color.match(/\d+/g).map(Number);
  const image = context.createImageData(data.words, data.words);
  for (let i = 0; i < data.words; i++) {
    for (let j = 0; j < data.words; j++) {
      const shade = Math.sqrt(weight(layer - 1, head - 1, i, j + 1));
      image.data.set([...ink.slice(0, 3), Math.round(255 * shade)], 4 * (i * data.words + j));
    }
  }
  context.putImageData(image, 0, 0);
}

for (const button of document.querySelectorAll("button[data-layer]")) {
  const layer = +button.dataset.layer;
  const head = +button.dataset.head;
  button.addEventListener("click", () => show(layer, head));
}
function paintAll() {
  for (const canvas of document.querySelectorAll("canvas")) {
    paint(canvas, +canvas.parentNode.dataset.layer, +canvas.parentNode.dataset.head);
  }
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paintAll);
for (const select of Object.values(pick)) {
  select.addEventListener("change", () => show(+pick.layer.value, +pick.head.value));
}
document.querySelector(".picker").hidden = false;
document.querySelector(".overview").hidden = false;
const begin = map.caption.querySelector("span").textContent.match(/\d+/g);
show(+begin[0], +begin[1]);
paintAll();
