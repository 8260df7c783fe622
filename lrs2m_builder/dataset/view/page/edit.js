// A field to correct a text in, with what the checks find while it is written. Nothing that was typed is lost.
import { ask, complain, send } from "/ask.js";
import { el, plain } from "/draw.js";

const WAIT = 350; // milliseconds without a key before the checks are asked
const drafts = new Map(); // of texts that are not saved, by row and column

addEventListener("beforeunload", (event) => { if (drafts.size) event.preventDefault(); });

/** A field for a text of a row; `saved(row, reviews)` is told the row with the new text, `left()` that nothing was saved. */
export function makeEditor(row, column, token, { saved, left }) {
  const key = `${row.number} ${column}`;
  let before = plain(row[column]);
  const box = el("textarea", { id: "correction", rows: column === "caption_long" ? 8 : 3, "aria-label": "The corrected text", "aria-describedby": "correction-findings" });
  box.value = drafts.get(key) ?? before;
  const says = el("div", { id: "correction-findings", role: "status" });
  const current = el("p", { class: "was" });
  let waiting = 0;
  let turn = 0;

  async function check() {
    const mine = ++turn;
    try {
      const { findings, tokens } = await send("/api/check", token, { row: row.number, column, text: box.value });
      if (mine !== turn) return;
      const items = findings.map((finding) => el("li", {}, el("b", { text: finding.split(":")[0] }), finding.slice(finding.split(":")[0].length + 1)));
      says.replaceChildren(el("p", { text: `${tokens} tokens; ${findings.length ? "the checks find, and the text may be saved all the same:" : "the checks find nothing"}` }),
        el("ul", { class: "findings" }, items));
    } catch (error) {
      complain(error);
    }
  }

  async function save() {
    const after = box.value.trim();
    if (after === before) return leave();
    try {
      const answer = await send("/api/correct", token, { row: row.number, column, before, after });
      drafts.delete(key);
      return saved(answer.row, answer.reviews);
    } catch (error) {
      complain(error);
      if (error.status !== 409) return null;
      // Somebody else was faster: their text is shown, and the next save is a correction of it.
      before = plain(error.row[column]);
      current.textContent = `The text is now: ${before}`;
      return null;
    }
  }

  function leave() {
    drafts.delete(key);
    left();
  }

  box.addEventListener("input", () => {
    if (box.value === before) drafts.delete(key);
    else drafts.set(key, box.value);
    clearTimeout(waiting);
    waiting = setTimeout(check, WAIT);
  });
  box.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); save(); }
    if (event.key === "Escape") { event.stopPropagation(); leave(); }
  });
  check();
  return {
    column, number: row.number,
    element: el("div", { class: "correction" }, box, current, says,
      el("div", { class: "buttons" }, el("button", { type: "button", id: "correction-save", click: save }, "Save", el("kbd", { text: "Ctrl Enter" })),
        el("button", { type: "button", click: leave }, "Cancel", el("kbd", { text: "Esc" })))),
    focus: () => { box.focus(); box.setSelectionRange(box.value.length, box.value.length); },
  };
}

/** A record as it is now, after another tab or program may have changed it. */
export const reread = (number) => ask(`/api/row?kind=records&row=${number}`);
