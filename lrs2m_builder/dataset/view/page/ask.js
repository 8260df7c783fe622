// Questions to the server, and what the page says when one fails.

export async function ask(address, options) {
  let response;
  try {
    response = await fetch(address, options);
  } catch {
    throw new Error("no answer: is lrs2m still running in its terminal?");
  }
  const answer = await response.json();
  if (!response.ok) throw Object.assign(new Error(answer.error), { status: response.status, row: answer.row });
  return answer;
}

/** Send what is to be saved; only with the token of this page. */
export function send(address, token, content) {
  return ask(address, { method: "POST", headers: { "Content-Type": "application/json", "X-Token": token }, body: JSON.stringify(content) });
}

let hiding;
export function complain(error) {
  const toast = document.getElementById("toast");
  toast.textContent = error.message;
  toast.classList.add("shown");
  clearTimeout(hiding);
  hiding = setTimeout(() => toast.classList.remove("shown"), 8000);
}

/** Work whose failure is told and not thrown. */
export const attempted = (work) => (...given) => Promise.resolve(work(...given)).catch(complain);
