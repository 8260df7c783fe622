// Draws all of a row: a record with its texts, claims, labels, scores and history, or a rejection with every answer.
import { drawBoxes, el, number, picture, plain, withHits } from "/draw.js";

/** A model's folder by its last part, as `lrs2m stats` names it. */
export const lastPart = (name) => (name.startsWith("/") ? name.replace(/\/+$/, "").split("/").pop() : name);

const label = (title, ...more) => el("div", { class: "label" }, el("b", { text: title }), more);
const day = (time) => time.slice(0, 16).replace("T", " ");

/** Pieces of a text, [text, number of the class it names or null]. */
function drawPieces(pieces, anchors, words) {
  return pieces.flatMap(([text, which]) =>
    which === null ? withHits(text, words) : el("mark", { class: `c${which % 6}`, title: anchors[which].class }, withHits(text, words)));
}

/** How sure a model is of a claim, as a class of colours: p0 (it says no) to p4 (it says yes). */
const sureness = (p) => `p${p === null ? "none" : Math.min(4, Math.floor(p * 5))}`;
const shownSureness = (p) => (p === null ? "no answer" : p.toFixed(2));

/** Pieces of a text, [text, number of the claim that says it or null]. */
function drawClaimed(pieces, claims, words) {
  return pieces.flatMap(([text, which]) => {
    if (which === null) return withHits(text, words);
    const { kind, words: asked, p } = claims[which];
    return el("mark", { class: `claim ${sureness(p)}`, title: `${shownSureness(p)} · ${kind}: ${asked}` }, withHits(text, words));
  });
}

/** The claims of a text, the least sure first. */
function drawClaims(claims) {
  const sorted = [...claims].sort((a, b) => (a.p ?? 2) - (b.p ?? 2));
  return el("ul", { class: "claims", "aria-label": "Claims" }, sorted.map(({ kind, words, p, is_false: isFalse }) =>
    el("li", {}, el("span", { class: `p ${sureness(p)}`, text: shownSureness(p) }), el("span", { text: words }), el("small", { text: isFalse ? `${kind}, judged false` : kind }))));
}

function drawScores(scores) {
  if (!scores?.length) return null;
  const shown = ({ value, is_older: isOlder }) => (isOlder ? "of an older text" : typeof value === "number" ? String(Number(value.toFixed(4))) : String(value));
  return el("section", { class: "facts" }, label("Scores"),
    el("dl", {}, scores.map((score) => [el("dt", { class: "mono", text: score.name }), el("dd", { class: score.is_older ? "empty" : null, text: shown(score) })])));
}

const TEXTS = { caption_short: ["Short text", 77, "short"], caption_long: ["Long text", 248, "long"] };

function drawText(column, row, { words, edit, editor }) {
  const [title, limit, name] = TEXTS[column];
  const [pieces, tokens, source] = [row[column], row[`num_tokens_${name}`], row[`${name}_source`]];
  const [claimed, corrected] = [row.claims?.[column], row.corrected?.[column]];
  const over = tokens > limit;
  const by = corrected && `corrected${corrected.reviewer ? ` by ${corrected.reviewer}` : ""}, ${day(corrected.time)}`;
  const words_ = !pieces.length ? el("p", { class: "empty", text: "no text" })
    : claimed ? [el("p", {}, drawClaimed(claimed.pieces, claimed.claims, words)), drawClaims(claimed.claims)]
      : el("p", {}, drawPieces(pieces, row.anchors, words));
  return el("section", { class: "text", id: column },
    label(title,
      tokens ? el("span", { class: over ? "over" : null, text: `${tokens} tokens${over ? `, more than ${limit}` : ""}` }) : null,
      corrected ? el("span", { class: "corrected", text: by }) : source ? el("span", { text: `from ${lastPart(source)}`, title: source }) : null,
      editor?.column === column ? null : el("button", { type: "button", class: "quiet", text: "Correct", "aria-label": `Correct the ${title.toLowerCase()}`, click: () => edit(column) })),
    editor?.column === column ? editor.element : words_,
    corrected ? el("details", {}, el("summary", { text: "the text as it was written" }), el("p", { class: "was", text: corrected.stored || "no text" })) : null);
}

/** Labels of the image; one that is pointed at shows its boxes alone. */
function drawAnchors(anchors, boxes) {
  if (!anchors.length) return null;
  const only = (name) => document.querySelectorAll("#detail svg.boxes g").forEach((box) => box.classList.toggle("faint", Boolean(name) && box.dataset.class !== name));
  return [
    label("Anchors", el("span", { text: boxes?.length ? `classes that the labels give; ${number(boxes.length)} boxes` : "classes that the labels give" })),
    el("ul", { class: "chips" }, anchors.map((anchor, i) => {
      const missed = "caption_long" in anchor ? [anchor.caption_short ? null : "short", anchor.caption_long ? null : "long"].filter(Boolean) : [];
      const said = missed.length === 2 ? "in neither text" : missed.length ? `not in the ${missed[0]} text` : "";
      return el("li", { class: `c${i % 6} ${missed.length === 2 ? "missed" : "covered"}`, pointerenter: () => only(anchor.class), pointerleave: () => only("") },
        anchor.class, anchor.count === null ? null : ` × ${number(anchor.count)}`, said ? el("small", { text: said }) : null);
    })),
  ];
}

const FACTS = [
  ["recipe", "recipe"], ["prompts", "prompts"], ["model", "model"], ["model_revision", "revision"], ["engine", "engine"],
  ["seed", "seed"], ["attempts", "attempts"], ["finish_reason", "finish reason"], ["label", "label"], ["license", "license"], ["judge", "judge"],
  ["image_sha256", "image sha256"], ["place", "stored in"],
];
const ELSEWHERE = new Set(["number", "sample_id", "caption_short", "caption_long", "anchors", "warnings", "review", "scores", "claims", "cut", "width", "height",
  "num_tokens_short", "num_tokens_long", "short_source", "long_source", "image_path", "boxes", "corrected", "history", "twins", ...FACTS.map(([name]) => name)]);

function drawFact(name, value) {
  if (name === "prompts") {
    return el("dd", {}, value.map((prompt, i) => [i ? ", " : "", prompt.name, " ", el("code", { title: prompt.sha256, text: (prompt.sha256 || "").slice(0, 12) })]));
  }
  const mono = name === "model_revision" || name === "image_sha256" || name === "place";
  const text = typeof value === "object" ? JSON.stringify(value) : name === "model" || name === "judge" ? value.split(" + ").map(lastPart).join(" + ") : String(value);
  return el("dd", { class: mono ? "mono" : null, text, title: text === String(value) ? null : String(value) });
}

function drawFacts(row) {
  const others = Object.keys(row).filter((name) => !ELSEWHERE.has(name)).map((name) => [name, name]);
  const known = [...FACTS, ...others].filter(([name]) => row[name] !== null && row[name] !== undefined && row[name] !== "");
  return el("section", { class: "facts" }, label("Provenance"), el("dl", {}, known.map(([name, title]) => [el("dt", { text: title }), drawFact(name, row[name])])));
}

const SAID = { accept: "accepted", flag: "flagged" };

/** Who said what, and when; one line says no more than the buttons do. */
function drawHistory(history) {
  if (history.length < 2 && !history.some((entry) => entry.kind === "correction" || entry.reviewer)) return null;
  return el("section", { class: "facts" }, label("History"), el("ol", { class: "history" }, [...history].reverse().map((entry) => {
    const what = entry.kind === "verdict" ? SAID[entry.verdict] : `corrected the ${TEXTS[entry.column][0].toLowerCase()}`;
    return el("li", {}, el("span", { class: entry.kind === "verdict" ? `verdict-${entry.verdict}` : null, text: what }),
      el("small", { text: `${entry.reviewer || "no name"}, ${day(entry.time)}` }), entry.note ? el("q", { text: entry.note }) : null);
  })));
}

/** The other texts of the image; the rows that have them are found by their ids. */
export function drawTwins(twins, find) {
  if (!twins?.length) return null;
  return el("section", { class: "facts", id: "twins" }, label("Other texts of this image", el("span", { text: number(twins.length) })),
    el("div", { class: "twins" }, twins.map((twin) => el("section", { class: "twin" },
      label(twin.recipe || twin.subset || "row", el("span", { text: twin.model ? twin.model.split(" + ").map(lastPart).join(" + ") : "" }), el("span", { text: twin.num_tokens_long ? `${twin.num_tokens_short} · ${twin.num_tokens_long} tokens` : "" })),
      el("p", { class: "short", text: plain(twin.caption_short) }), el("p", { text: plain(twin.caption_long) }),
      el("button", { type: "button", class: "quiet mono", text: twin.sample_id, title: "find this row", click: () => find(twin.sample_id) })))));
}

function drawFigure(row, setting, caption) {
  const image = picture(row, { ...setting, small: false });
  const frame = el("button", { type: "button", class: "frame", "aria-label": "Enlarge the image", click: setting.zoom }, image, drawBoxes(row));
  image.addEventListener("error", () => frame.replaceWith(...frame.childNodes));
  return el("figure", {}, frame, el("figcaption", {}, caption, el("span", { class: "hint", text: "click or z: enlarge" })));
}

/** All of a record. `review(verdict)`, `note()`, `edit(column)` and `zoom()` are what the buttons do. */
export function drawRecord(row, setting) {
  const verdict = row.review?.verdict;
  const button = (name, key, title) => el("button", { type: "button", class: name, "aria-pressed": String(verdict === name), click: () => setting.review(name) },
    title, el("kbd", { text: key }));
  const warnings = (row.warnings || []).map((text) => [text.split(":")[0], text.slice(text.split(":")[0].length + 1).trim()]);
  return [
    el("div", { class: "top" }, el("h1", { class: "mono", text: row.sample_id }),
      el("div", { class: "verdicts" }, button("accept", "a", "Accept"), button("flag", "f", "Flag"),
        el("button", { type: "button", click: setting.note }, "Note", el("kbd", { text: "n" })))),
    row.review?.note ? el("p", { class: "said", text: row.review.note }) : null,
    el("div", { class: "pair" },
      drawFigure(row, setting, el("span", { text: row.width ? `${row.width} × ${row.height}` : "" })),
      el("div", {},
        drawText("caption_short", row, setting), drawText("caption_long", row, setting),
        row.cut?.length ? [label("Cut", el("span", { text: "what the judge called false" })),
          ...row.cut.map((sentence) => el("p", { class: "cut" }, el("del", { text: sentence })))] : null,
        drawAnchors(row.anchors, row.boxes),
        warnings.length ? [label("Warnings"), el("ul", { class: "findings" }, warnings.map(([name, detail]) => el("li", {}, el("b", { text: name }), detail)))] : null)),
    drawTwins(row.twins, setting.find) ?? el("section", { id: "twins", hidden: true }),
    drawScores(row.scores),
    drawHistory(row.history ?? []),
    drawFacts(row),
  ].filter(Boolean);
}

/** All of a rejection: its image and what was known of it, why it was rejected, and every answer with its reason. */
export function drawRejection(row, setting) {
  const { words } = setting;
  const { sample, attempts = [], problems } = row;
  const reasons = problems ?? attempts.map((_, i) => (i === attempts.length - 1 ? `${row.reason}: ${row.detail}` : ""));
  const given = sample && [...sample.captions.map((text) => ["Short text of the source", text]), ["Long text of the source", sample.caption_long], ["Label", sample.label]].filter(([, text]) => text);
  return [
    el("div", { class: "top" }, el("h1", { class: "mono", text: row.sample_id }), el("span", { class: "reason", text: row.reason })),
    el("div", { class: "pair" },
      sample ? drawFigure(row, setting, el("span", { class: "mono", text: sample.image_name })) : el("p", { class: "empty", text: "The build left no plan: its image and hints are not known here." }),
      el("div", {},
        el("section", { class: "text" }, label("Why"), el("p", {}, withHits(row.detail || "", words))),
        (given || []).map(([title, text]) => el("section", { class: "text given" }, label(title), el("p", {}, withHits(text, words)))),
        sample ? drawAnchors(sample.anchors) : null)),
    label("Answers", el("span", { text: attempts.length ? `${attempts.length} tried` : "no model was asked" })),
    ...attempts.map((attempt, i) => el("section", { class: "attempt" },
      label(`Step ${attempt.step + 1}, attempt ${attempt.attempt}`,
        el("span", { text: `${attempt.num_tokens} tokens` }), el("span", { text: `finish reason ${attempt.finish_reason || "none"}` }), el("span", { text: `seed ${attempt.seed}` })),
      el("p", {}, withHits(attempt.text || "", words)),
      reasons[i] ? el("p", { class: "refused", text: reasons[i] }) : problems ? el("p", { class: "passed", text: "passed the checks" }) : null)),
    el("section", { class: "facts" }, el("dl", {}, el("dt", { text: "stored in" }), el("dd", { class: "mono", text: row.place }))),
  ];
}
