// The results: who won how often, and what may explain it. Here the data sets have their names.
import { el, number, svg } from "/draw.js";

const percent = (share) => `${Math.round(share * 100)} %`;
const mean = (value, digits) => (value === null ? "-" : value.toFixed(digits));
const folder = (path) => path.split("/").filter(Boolean).slice(-1)[0] ?? path;
const models = (side) => side.models.map((name) => name.split(" + ").map(folder).join(" + ")).join(", ") || "-";
const list = (counts) => Object.entries(counts).map(([name, times]) => `${name} ${number(times)}`).join(", ") || "none";
const total = (counts) => Object.values(counts).reduce((sum, times) => sum + times, 0);

const row = (name, ...values) => el("tr", {}, el("th", { scope: "row", text: name }), values.map((value) => el("td", { text: String(value) })));
const table = (title, columns, rows) => el("div", { class: "wide" }, el("table", {}, el("caption", { text: title }),
  el("thead", {}, el("tr", {}, el("td"), columns.map((name) => el("th", { scope: "col", text: name })))), el("tbody", {}, rows)));

/** The share of wins of B as a bar, with its interval and the middle. */
function drawInterval(share, [low, high]) {
  const line = (x1, x2, y1, y2, kind) => svg("line", { x1, x2, y1, y2, class: kind });
  const at = (value) => value * 1000;
  return svg("svg", { class: "interval", viewBox: "0 0 1000 40", preserveAspectRatio: "none", role: "img", "aria-label": `B won ${percent(share)} of the decided pairs, 95 % interval ${percent(low)} to ${percent(high)}` },
    svg("rect", { class: "track", x: 0, y: 9, width: 1000, height: 22 }), svg("rect", { class: "share", x: 0, y: 9, width: at(share), height: 22 }),
    line(500, 500, 2, 38, "half"), line(at(low), at(high), 20, 20, ""), line(at(low), at(low), 13, 27, ""), line(at(high), at(high), 13, 27, ""));
}

function verdict(wins, names) {
  if (!wins.votes) return "No votes yet";
  if (!wins.decided) return "No pair has a winner";
  if (!wins.better) return "The votes do not tell which is better";
  return `${wins.better.toUpperCase()}, ${names[wins.better]}, is better`;
}

const note = (text, times) => (times ? el("li", { text: `${number(times)} ${text}` }) : null);

/** All of the results. */
export function drawResults(results) {
  const { a, b, wins } = results;
  const names = { a: folder(a.path), b: folder(b.path) };
  const sides = (read) => [read(a), read(b)];
  const [bias, decided] = [results.left.wins, results.left.decided];
  const interval = wins.interval_b && [drawInterval(wins.share_b, wins.interval_b),
    el("p", { class: "ends" }, el("span", { text: "B wins none" }), el("span", { text: "half" }), el("span", { text: "B wins all" }))];
  const said = wins.interval_b && `B won ${percent(wins.share_b)} of ${number(wins.decided)} decided pairs (95 % interval ${percent(wins.interval_b[0])} to ${percent(wins.interval_b[1])}).`;
  return [
    el("h2", { text: verdict(wins, names) }),
    said ? el("p", { text: said }) : null, interval,
    table("Votes", ["A wins", "B wins", "Tie", "Both bad"], [
      row(Object.keys(results.reviewers).length > 1 ? "pairs" : "all", wins.a, wins.b, wins.tie, wins.both_bad),
      ...(Object.keys(results.reviewers).length > 1 ? Object.entries(results.reviewers) : []).map(([name, each]) => row(name || "no name", each.a, each.b, each.tie, each.both_bad))]),
    table("The two data sets", [`A: ${names.a}`, `B: ${names.b}`], [
      row("model", ...sides(models)),
      row("recipe", ...sides((side) => side.recipes.join(", ") || "-")),
      row("mean tokens, short", ...sides((side) => mean(side.tokens_short, 1))),
      row("mean tokens, long", ...sides((side) => mean(side.tokens_long, 1))),
      row("warnings per image", ...sides((side) => mean(side.warnings_per_row, 2))),
      row("warnings by check", ...sides((side) => list(side.warnings))),
      row("rejected samples", ...sides((side) => (total(side.rejected) ? `${number(total(side.rejected))}: ${list(side.rejected)}` : "0"))),
      row("images only here", ...sides((side) => number(side.only))),
      ...Object.entries(results.scores).map(([name, score]) => row(`${name}, mean of ${number(score.pairs)}`, `${mean(score.a, 4)} (higher in ${percent(score.higher_a)})`, `${mean(score.b, 4)} (higher in ${percent(score.higher_b)})`)),
    ]),
    el("ul", {}, el("li", { text: `${number(results.pairs)} images are in both. Lengths, warnings and scores are of these; rejected samples of the whole builds.` }),
      note("images have the same texts in both; they are not voted on.", results.same_texts),
      note("rows have the same sample_id and another image; they are left out.", results.other_image),
      note("images have several long texts; only the first is compared.", results.several_texts),
      note("votes in the file are of other images or texts; they are not counted.", results.other_votes),
      results.other_scores.length ? el("li", { text: `The scores ${results.other_scores.join(", ")} were made with different settings; they are not compared.` }) : null,
      decided ? el("li", { text: `The left text won ${percent(bias / decided)} of ${number(decided)} decided votes; the sides were shuffled.` }) : null),
  ].flat().filter(Boolean);
}
