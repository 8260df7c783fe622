// The page of a comparison: one pair at a time, votes by keys, and at the end the results.
import { ask, attempted, complain, send } from "/ask.js";
import { el, number, picture } from "/draw.js";
import { drawResults } from "/results.js";
import { makeZoom } from "/zoom.js";

const $ = (id) => document.getElementById(id);

let about;
let pair = null; // the one that is shown
let turn = 0; // answers to an earlier question are dropped
let isOpen = false; // the figures of a pair

const setting = () => ({ kind: "records", version: about.version });
const named = () => ({ ...pair, sample_id: pair.sample_id ?? `pair ${pair.number + 1}` });
const done = () => about.voted.filter(Boolean).length;
const isTable = () => !$("table").hidden;

/** The first pair without a vote from a place on, and from the beginning; -1 if all have one. */
function nextOpen(from) {
  const after = about.voted.indexOf(false, from);
  return after < 0 ? about.voted.indexOf(false) : after;
}

function drawProgress() {
  const all = about.voted.length;
  $("progress").max = all;
  $("progress").value = done();
  $("status").textContent = isTable() ? `${number(done())} of ${number(all)} voted` : `pair ${number(pair.number + 1)} of ${number(all)}, ${number(done())} voted`;
  $("table-button").setAttribute("aria-pressed", String(isTable()));
}

/** The name of a side; on a phone the texts are one above the other. */
const sideName = (beside, above) => [el("span", { class: "beside", text: beside }), el("span", { class: "above", text: above })];

const TEXTS = { caption_short: "Short text", caption_long: "Long text" };
const isSame = (column) => Boolean(pair.left[column]) && pair.left[column] === pair.right[column];
const kind = (column) => (column === "caption_short" ? "short" : null);

/** The texts of a side that the other side does not have too. */
function drawText(side, title, above) {
  return el("section", { class: `side ${pair.vote === title.toLowerCase() ? "voted" : ""}`, "aria-label": `${title} text` }, el("h2", {}, sideName(title, above)),
    Object.keys(TEXTS).filter((column) => !isSame(column)).map((column) => el("p", side[column] ? { class: kind(column), text: side[column] } : { class: "empty", text: "no text" })));
}

/** A text that both sides have, once. */
function drawSame(column) {
  return el("div", { class: "both" }, el("div", { class: "label" }, el("b", { text: TEXTS[column] }), el("span", { text: "the same in both" })), el("p", { class: kind(column), text: pair.left[column] }));
}

const tokens = (side) => `${side.num_tokens_short ?? "-"} · ${side.num_tokens_long ?? "-"}`;
const shown = (score) => (score.is_older ? "of an older text" : typeof score.value === "number" ? score.value.toPrecision(3) : String(score.value));

/** Lengths, warnings and scores: closed until they are asked for, as they would sway the vote. */
function drawFigures() {
  const { left, right } = pair;
  const scores = [...new Set([...left.scores, ...right.scores].map((score) => score.name))];
  const of = (side, name) => side.scores.filter((score) => score.name === name).map(shown)[0] ?? "-";
  const lines = [
    ["tokens, short · long", tokens(left), tokens(right)], ["attempts", left.attempts ?? "-", right.attempts ?? "-"],
    ["warnings", left.warnings?.join("; ") || "none", right.warnings?.join("; ") || "none"], ...scores.map((name) => [name, of(left, name), of(right, name)]),
  ];
  const details = el("details", { open: isOpen, toggle: () => { isOpen = details.open; } }, el("summary", { text: "Lengths, warnings and scores (i)" }),
    el("table", {}, el("thead", {}, el("tr", {}, el("td"), el("th", { scope: "col" }, sideName("Left", "Upper")), el("th", { scope: "col" }, sideName("Right", "Lower")))),
      el("tbody", {}, lines.map(([name, ...values]) => el("tr", {}, el("th", { scope: "row", text: name }), values.map((value) => el("td", { text: String(value) })))))));
  return details;
}

function drawPair() {
  const image = picture(named(), { ...setting(), small: false });
  const frame = el("button", { type: "button", class: "frame", "aria-label": "Enlarge the image", click: openZoom }, image);
  image.addEventListener("error", () => frame.replaceWith(...frame.childNodes));
  $("pair").replaceChildren(
    el("div", { class: "sides" },
      el("div", {}, el("figure", {}, frame, el("figcaption", {}, el("span", { class: "mono", text: pair.sample_id ?? "" }), el("span", { class: "hint", text: "click or z: enlarge" }))),
        Object.keys(TEXTS).filter(isSame).map(drawSame)),
      drawText(pair.left, "Left", "Upper"), drawText(pair.right, "Right", "Lower")),
    drawFigures());
  $("pair").scrollTop = 0;
  for (const button of document.querySelectorAll(".vote")) button.setAttribute("aria-pressed", String(button.dataset.vote === pair.vote));
  $("back").disabled = pair.number === 0;
  $("on").disabled = pair.number + 1 >= about.voted.length;
  drawProgress();
}

async function show(at) {
  const mine = ++turn;
  const found = await ask(`/api/pair?at=${at}`);
  if (mine !== turn) return;
  pair = found;
  look(false);
  drawPair();
  if (zoom.isOpen) openZoom();
}

const step = attempted((by) => {
  const at = pair.number + by;
  return at >= 0 && at < about.voted.length ? show(at) : null;
});

let isVoting = false; // until the next pair is there a key is dropped: it would vote once more on this one

const vote = attempted(async (choice) => {
  if (isVoting || isTable()) return;
  isVoting = true;
  try {
    about = { ...about, ...await send("/api/vote", about.token, { at: pair.number, vote: choice }) };
    const next = nextOpen(pair.number + 1);
    await (next < 0 ? showTable() : show(next));
  } finally {
    isVoting = false;
  }
});

// ---- results

function look(table) {
  $("table").hidden = !table;
  $("pair").hidden = $("votes").hidden = table;
}

async function showTable() {
  const results = await ask("/api/table");
  turn++;
  $("table").replaceChildren(...drawResults(results));
  look(true);
  drawProgress();
  $("table").focus();
}

const toggleTable = attempted(() => (isTable() ? show(pair?.number ?? 0) : showTable()));

// ---- the image, and the keyboard

const zoom = makeZoom(step);
const openZoom = () => zoom.show(named(), setting());

const KEYS = {
  ArrowLeft: () => vote("left"), ArrowRight: () => vote("right"), t: () => vote("tie"), b: () => vote("both_bad"),
  j: () => step(1), k: () => step(-1), z: () => openZoom(), i: () => { const figures = $("pair").querySelector("details"); figures.open = !figures.open; },
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || $("help").open || zoom.isOpen || !about) return;
  const act = event.key === "r" ? toggleTable : event.key === "?" ? () => $("help").showModal() : isTable() ? null : KEYS[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});

for (const button of document.querySelectorAll(".vote")) button.addEventListener("click", () => vote(button.dataset.vote));
$("back").addEventListener("click", () => step(-1));
$("on").addEventListener("click", () => step(1));
$("table-button").addEventListener("click", toggleTable);
$("help-button").addEventListener("click", () => $("help").showModal());

try {
  about = await ask("/api/about");
  const first = nextOpen(0);
  if (first < 0) await showTable();
  else await show(first);
} catch (error) {
  complain(error);
}
