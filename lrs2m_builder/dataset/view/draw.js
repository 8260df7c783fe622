// Draws rows. Every text from the data set becomes a text node and never markup.

export const number = (value) => Number(value).toLocaleString("en-US");

/** An element: attributes by name ("text" sets the text, a function listens), children behind. */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "text") element.textContent = value;
    else if (typeof value === "function") element.addEventListener(name, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

/** The words that a search looks for, as the server divides them. */
export function wordsOf(text) {
  return [...text.matchAll(/"([^"]+)"|([^\s"]+)/g)].map((match) => match[1] ?? match[2]);
}

const escaped = (word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

/** A text with what was searched for marked. */
function withHits(text, words) {
  if (!words.length) return [text];
  const pieces = text.split(new RegExp(`(${words.map(escaped).join("|")})`, "gi"));
  return pieces.map((piece, i) => (i % 2 ? el("mark", { class: "hit", text: piece }) : piece));
}

/** Pieces of a text, [text, number of the class it names or null]. */
function drawPieces(pieces, anchors, words) {
  return pieces.flatMap(([text, which]) =>
    which === null ? withHits(text, words) : el("mark", { class: `c${which % 6}`, title: anchors[which].class }, withHits(text, words)));
}

const plain = (pieces) => pieces.map(([text]) => text).join("");

function picture(row, version, small) {
  const size = small ? "&small=1" : "";
  const none = () => el("div", { class: small ? "thumb" : "none", text: small ? "no image" : "no image that a browser can show" });
  const image = el("img", {
    class: small ? "thumb" : null, src: `/image?row=${row.number}${size}&v=${version}`, loading: small ? "lazy" : null,
    alt: small ? "" : `Image of ${row.sample_id}`, error: () => image.replaceWith(none()),
  });
  return image;
}

const SIGNS = { accept: "✓", flag: "⚑" };

/** A row of the list. */
export function drawCard(row, { kind, version, words, chosen, choose }) {
  const records = kind === "records";
  const tokens = records && row.num_tokens_long ? `${row.num_tokens_short} · ${row.num_tokens_long}` : "";
  const sign = row.review && el("span", { class: `verdict-${row.review.verdict}`, text: `${SIGNS[row.review.verdict]} `, title: row.review.verdict });
  const text = records ? plain(row.caption_short) || plain(row.caption_long) : row.detail || "";
  return el("li", { role: "option", "aria-selected": String(chosen), click: choose },
    records ? picture(row, version, true) : null,
    el("div", { class: "what" },
      el("div", { class: "id" }, el("span", { class: "mono", text: row.sample_id, title: row.sample_id }),
        el("span", { class: "tokens", title: "tokens of the short and the long text" }, sign, tokens)),
      records ? null : el("span", { class: "reason", text: row.reason }),
      el("p", {}, withHits(text, words))));
}

/** A model's folder by its last part, as `lrs2m stats` names it. */
const lastPart = (name) => (name.startsWith("/") ? name.replace(/\/+$/, "").split("/").pop() : name);

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
  return el("section", { class: "facts" }, el("div", { class: "label" }, el("b", { text: "Scores" })),
    el("dl", {}, scores.map((score) => [el("dt", { class: "mono", text: score.name }), el("dd", { class: score.is_older ? "empty" : null, text: shown(score) })]).flat()));
}

function drawText(title, pieces, tokens, limit, source, row, words, claimed) {
  const over = tokens > limit;
  return el("section", { class: "text" },
    el("div", { class: "label" }, el("b", { text: title }),
      tokens ? el("span", { class: over ? "over" : null, text: `${tokens} tokens${over ? `, more than ${limit}` : ""}` }) : null,
      source ? el("span", { text: `from ${lastPart(source)}`, title: source }) : null),
    !pieces.length ? el("p", { class: "empty", text: "no text" })
      : claimed ? [el("p", {}, drawClaimed(claimed.pieces, claimed.claims, words)), drawClaims(claimed.claims)]
        : el("p", {}, drawPieces(pieces, row.anchors, words)));
}

function drawAnchors(anchors) {
  if (!anchors.length) return null;
  return [
    el("div", { class: "label" }, el("b", { text: "Anchors" }), el("span", { text: "classes that the labels give" })),
    el("ul", { class: "chips" }, anchors.map((anchor, i) => {
      const missed = [anchor.caption_short ? null : "short", anchor.caption_long ? null : "long"].filter(Boolean);
      const said = missed.length === 2 ? "in neither text" : missed.length ? `not in the ${missed[0]} text` : "";
      return el("li", { class: `c${i % 6} ${missed.length === 2 ? "missed" : "covered"}` },
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
  "num_tokens_short", "num_tokens_long", "short_source", "long_source", "image_path", ...FACTS.map(([name]) => name)]);

function drawFact(name, value) {
  if (name === "prompts") {
    return el("dd", {}, value.map((prompt, i) => [i ? ", " : "", prompt.name, " ", el("code", { title: prompt.sha256, text: (prompt.sha256 || "").slice(0, 12) })]).flat());
  }
  const mono = name === "model_revision" || name === "image_sha256" || name === "place";
  return el("dd", { class: mono ? "mono" : null, text: typeof value === "object" ? JSON.stringify(value) : String(value) });
}

function drawFacts(row) {
  const others = Object.keys(row).filter((name) => !ELSEWHERE.has(name)).map((name) => [name, name]);
  const known = [...FACTS, ...others].filter(([name]) => row[name] !== null && row[name] !== undefined && row[name] !== "");
  return el("section", { class: "facts" }, el("div", { class: "label" }, el("b", { text: "Provenance" })),
    el("dl", {}, known.map(([name, title]) => [el("dt", { text: title }), drawFact(name, row[name])]).flat()));
}

/** All of a record. `review(verdict)` and `note()` are what the buttons do. */
export function drawRecord(row, { version, words, review, note }) {
  const verdict = row.review?.verdict;
  const button = (name, key, title) => el("button", { type: "button", class: name, "aria-pressed": String(verdict === name), click: () => review(name) },
    title, el("kbd", { text: key }));
  const size = row.width ? `${row.width} × ${row.height}` : "";
  return [
    el("div", { class: "top" }, el("h1", { class: "mono", text: row.sample_id }),
      el("div", { class: "verdicts" }, button("accept", "a", "Accept"), button("flag", "f", "Flag"),
        el("button", { type: "button", click: note }, "Note", el("kbd", { text: "n" })))),
    row.review?.note ? el("p", { class: "said", text: row.review.note }) : null,
    el("div", { class: "pair" },
      el("figure", {}, picture(row, version, false), el("figcaption", { text: size })),
      el("div", {},
        drawText("Short text", row.caption_short, row.num_tokens_short, 77, row.short_source, row, words, row.claims?.caption_short),
        drawText("Long text", row.caption_long, row.num_tokens_long, 248, row.long_source, row, words, row.claims?.caption_long),
        row.cut?.length ? [el("div", { class: "label" }, el("b", { text: "Cut" }), el("span", { text: "what the judge called false" })),
          ...row.cut.map((words) => el("p", { class: "cut" }, el("del", { text: words })))] : null,
        drawAnchors(row.anchors),
        row.warnings?.length ? [el("div", { class: "label" }, el("b", { text: "Warnings" })),
          el("ul", { class: "chips" }, row.warnings.map((name) => el("li", { class: "warning", text: name })))] : null)),
    drawScores(row.scores),
    drawFacts(row),
  ].filter(Boolean);
}

/** All of a rejection: why, and every answer that was tried. */
export function drawRejection(row, { words }) {
  return [
    el("div", { class: "top" }, el("h1", { class: "mono", text: row.sample_id }), el("span", { class: "reason", text: row.reason })),
    el("section", { class: "text" }, el("div", { class: "label" }, el("b", { text: "Why" })), el("p", {}, withHits(row.detail || "", words))),
    el("div", { class: "label" }, el("b", { text: "Answers" }), el("span", { text: row.attempts?.length ? `${row.attempts.length} tried` : "no model was asked" })),
    ...(row.attempts || []).map((attempt) => el("section", { class: "attempt" },
      el("div", { class: "label" }, el("b", { text: `Step ${attempt.step + 1}, attempt ${attempt.attempt}` }),
        el("span", { text: `${attempt.num_tokens} tokens` }), el("span", { text: `finish reason ${attempt.finish_reason || "none"}` }), el("span", { text: `seed ${attempt.seed}` })),
      el("p", {}, withHits(attempt.text || "", words)))),
    el("section", { class: "facts" }, el("dl", {}, el("dt", { text: "stored in" }), el("dd", { class: "mono", text: row.place }))),
  ];
}
