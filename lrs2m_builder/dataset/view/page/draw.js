// Draws rows. Every text from the data set becomes a text node and never markup.

export const number = (value) => Number(value).toLocaleString("en-US");

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "text") element.textContent = value;
    else if (typeof value === "function") element.addEventListener(name, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

/** An element: attributes by name ("text" sets the text, a function listens), children behind. */
export const el = (tag, attributes = {}, ...children) => filled(document.createElement(tag), attributes, children);

/** The same for a drawing. */
export const svg = (tag, attributes = {}, ...children) => filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

/** The words that a search looks for, as the server divides them. */
export function wordsOf(text) {
  return [...text.matchAll(/"([^"]+)"|([^\s"]+)/g)].map((match) => match[1] ?? match[2]);
}

const escaped = (word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

/** A text with what was searched for marked. */
export function withHits(text, words) {
  if (!words.length) return [text];
  const pieces = text.split(new RegExp(`(${words.map(escaped).join("|")})`, "gi"));
  return pieces.map((piece, i) => (i % 2 ? el("mark", { class: "hit", text: piece }) : piece));
}

/** A text that the server gave in pieces, or as it is. */
export const plain = (pieces) => (Array.isArray(pieces) ? pieces.map(([text]) => text).join("") : pieces ?? "");

/** The image of a row, or words in its place. */
export function picture(row, { kind, version, small }) {
  const none = () => el("div", { class: small ? "thumb" : "none", text: small ? "no image" : "no image that a browser can show" });
  if (row.has_image === false) return none();
  const image = el("img", {
    class: small ? "thumb" : null, src: `/image?kind=${kind}&row=${row.number}${small ? "&small=1" : ""}&v=${version}`, loading: small ? "lazy" : null,
    alt: small ? "" : `Image of ${row.sample_id}`, draggable: "false", error: () => image.replaceWith(none()),
  });
  return image;
}

/** The boxes of the labelled objects over the image of a record; null if it has none. */
export function drawBoxes(row) {
  if (!row.boxes?.length || !row.width || !row.height) return null;
  const classes = [...new Set([...row.anchors.map((anchor) => anchor.class), ...row.boxes.map((box) => box.class)])];
  const shapes = row.boxes.map(({ class: name, xmin, ymin, xmax, ymax }) => {
    const isPoint = xmax - xmin < 1 && ymax - ymin < 1;
    const shape = (role) => (isPoint ? svg("circle", { class: role, cx: (xmin + xmax) / 2, cy: (ymin + ymax) / 2, r: 3 })
      : svg("rect", { class: role, x: xmin, y: ymin, width: Math.max(xmax - xmin, 1), height: Math.max(ymax - ymin, 1) }));
    return svg("g", { class: `c${classes.indexOf(name) % 6}`, "data-class": name }, svg("title", { text: name }), shape("under"), shape("over"));
  });
  return svg("svg", { class: "boxes", viewBox: `0 0 ${row.width} ${row.height}`, "aria-hidden": "true" }, shapes);
}

const SIGNS = { accept: "✓", flag: "⚑" };

const sign = (row) => row.review && el("span", { class: `verdict-${row.review.verdict}`, text: `${SIGNS[row.review.verdict]} `, title: row.review.verdict });

const said = (row, kind) => (kind === "records" ? plain(row.caption_short) || plain(row.caption_long) : row.detail || "");

/** A row of the list. */
export function drawCard(row, { kind, version, words, chosen, choose, id }) {
  const records = kind === "records";
  const tokens = records && row.num_tokens_long ? `${row.num_tokens_short} · ${row.num_tokens_long}` : "";
  return el("li", { id, role: "option", "aria-selected": String(chosen), click: choose },
    picture(row, { kind, version, small: true }),
    el("div", { class: "what" },
      el("div", { class: "id" }, el("span", { class: "mono", text: row.sample_id, title: row.sample_id }),
        el("span", { class: "tokens", title: "tokens of the short and the long text" }, sign(row), tokens)),
      records ? null : el("span", { class: "reason", text: row.reason }),
      el("p", {}, withHits(said(row, kind), words))));
}

/** A row of the gallery. */
export function drawTile(row, { kind, version, words, chosen, choose, id }) {
  return el("li", { id, role: "option", "aria-selected": String(chosen), title: `${row.sample_id}: ${said(row, kind)}`, click: choose },
    picture(row, { kind, version, small: true }),
    el("span", { class: "tile-text" }, sign(row), kind === "records" ? null : el("b", { text: `${row.reason} ` }), withHits(said(row, kind), words)));
}
