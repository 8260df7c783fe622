// The filters, and the order of the rows: what the address says, as fields.
import { el, number } from "/draw.js";
import { lastPart } from "/record.js";

const ORDERS = {
  records: { file: "order of the files", id: "id", long: "tokens, long text", short: "tokens, short text", attempts: "attempts" },
  rejected: { file: "order of the files", id: "id" },
};
const FACETS = { subset: "Subset", recipe: "Recipe", model: "Model", warnings: "Warning", reason: "Reason" };
const VERDICTS = { "": "all", none: "not reviewed", accept: "accepted", flag: "flagged", corrected: "corrected", disputed: "reviewers differ" };
const BOUNDS = { score_min: "least", score_max: "most" };
const RANGES = { long: "num_tokens_long", short: "num_tokens_short" };
// What an address says of the page and not of the rows.
export const OF_PAGE = ["at", "view", "charts", "map", "boxes"];
const NO_FILTERS = ["kind", "order", "descending", ...OF_PAGE];

/** What of an address selects and sorts rows. */
export const questionOf = (asked, without = []) =>
  new URLSearchParams(Object.entries(asked).filter(([key, value]) => ![...OF_PAGE, ...without].includes(key) && value !== "" && value !== undefined));

/** An address without its filters. */
export const withoutFilters = (asked) => Object.fromEntries(Object.entries(asked).filter(([key]) => NO_FILTERS.includes(key) && key !== "at"));

/** Draw the filters of an address; `change` is told new values. */
export function drawFilters(place, asked, about, change) {
  const { facets, largest } = about.kinds[asked.kind];
  const records = asked.kind === "records";

  function choice(key, title, options) {
    const list = el("select", { id: `filter-${key}`, change: () => change({ [key]: list.value }) },
      options.map(([value, text]) => el("option", { value, text, selected: value === (asked[key] ?? "") })));
    if (asked[key]) list.className = "set";
    return el("label", {}, el("span", { text: title }), list);
  }

  function facet(name, title) {
    const values = Object.entries(facets[name] ?? {}).filter(([value]) => value !== "");
    if (!values.length) return null;
    return choice(name === "warnings" ? "warning" : name, title, [["", "all"], ...values.map(([value, times]) => [value, `${lastPart(value)} (${number(times)})`])]);
  }

  function field(key, attributes) {
    const input = el("input", { id: `filter-${key}`, ...attributes, change: () => change({ [key]: input.value.trim().replace(",", ".") }) });
    input.value = asked[key] ?? "";
    if (asked[key]) input.className = "set";
    return input;
  }

  const range = (name, column) => el("div", { class: "field" }, el("span", { text: name === "long" ? "Long tokens" : "Short tokens" }),
    field(`${name}_min`, { inputmode: "numeric", placeholder: "0", "aria-label": `${name} text, least tokens` }), "–",
    field(`${name}_max`, { inputmode: "numeric", placeholder: String(largest[column]), "aria-label": `${name} text, most tokens` }));

  /** A score and its bounds; the bounds say nothing without it. */
  function scores() {
    if (!records || !about.scores.length) return null;
    const list = choice("score", "Score", [["", "all"], ...about.scores.map((name) => [name, name])]);
    const bound = (key) => field(key, { inputmode: "decimal", "aria-label": `${BOUNDS[key]} of the score`, disabled: !asked.score });
    return el("div", { class: "field" }, list, bound("score_min"), "–", bound("score_max"));
  }

  const named = about.reviewers.filter(Boolean);
  const verdicts = Object.entries(VERDICTS).filter(([value]) => value !== "disputed" || about.reviewers.length > 1);
  const orders = [...Object.entries(ORDERS[asked.kind]), ...(records ? about.scores.map((name) => [name, name]) : [])];
  const down = el("button", { type: "button", id: "direction", "aria-label": asked.descending ? "descending" : "ascending",
    text: asked.descending ? "↓" : "↑", click: () => change({ descending: asked.descending ? "" : "1" }) });
  const any = Object.keys(asked).some((key) => !NO_FILTERS.includes(key) && asked[key]);
  place.replaceChildren(...[
    ...Object.entries(FACETS).map(([name, title]) => facet(name, title)),
    records ? choice("verdict", "Review", verdicts) : null,
    records && named.length ? choice("reviewer", "Reviewer", [["", "all"], ...named.map((name) => [name, name])]) : null,
    ...Object.entries(RANGES).map(([name, column]) => (largest[column] ? range(name, column) : null)),
    scores(),
    records && asked.box ? el("span", { class: "boxed", text: "in the map's rectangle" }) : null,
    any ? el("button", { type: "button", id: "clear", text: "Clear", click: () => change(null) }) : null,
    el("div", { class: "field end" }, choice("order", "Sort by", orders), down),
  ].filter(Boolean));
}
