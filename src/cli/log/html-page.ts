/** A log as one static web page, without scripts and without anything from elsewhere. */
import { formatForTerminal } from "../../base/visible-text.js"
import { formatIsoTime } from "../output/time.js"
import type { LogMessage } from "./log-query.js"

const style = `
:root { color-scheme: light dark; --line: #8884; --dim: #777 }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.4rem }
li { list-style: none; border-top: 1px solid var(--line); padding: .5rem 0 }
ol { padding: 0 }
time, code, a { color: var(--dim); font-size: .85rem }
pre { font: inherit; white-space: pre-wrap; overflow-wrap: anywhere; margin: .2rem 0 0 }
`

/** Yields the parts of a page. @param title - such as the name of a channel */
export function* htmlPage(title: string, nowMs: number, messages: readonly LogMessage[]): Generator<string> {
  const ids = new Set(messages.map(({ msg_id: id }) => id))
  yield `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>${text(title)}</title>
<style>${style}</style>
</head>
<body>
<h1>${text(title)}</h1>
<p>${messages.length} messages, exported <time>${formatIsoTime(nowMs)}</time></p>
<ol>
`
  for (const message of messages) yield itemOf(message, ids)
  yield "</ol>\n</body>\n</html>\n"
}

function itemOf(message: LogMessage, ids: ReadonlySet<unknown>): string {
  const { ts, name, from, type, content, kind, msg_id: id, in_reply_to: replyTo } = message
  const time = typeof ts === "number" ? `<time>${formatIsoTime(ts)}</time> ` : ""
  const label = type === "MSG" ? kind : type
  const tag = label === undefined ? "" : ` <code>${text(label)}</code>`
  const answer =
    replyTo === undefined
      ? ""
      : ids.has(replyTo)
        ? ` <a href="#${anchor(replyTo)}">in reply</a>`
        : " <code>in reply</code>"
  const body = type === "MSG" ? content : JSON.stringify(message)
  const head = `${time}<b>${text(name ?? "")}</b> <code>${text(from ?? "")}</code>${tag}${answer}`
  return `<li id="${anchor(id)}">${head}<pre>${lines(body)}</pre></li>\n`
}

function text(value: unknown): string {
  return escapeHtml(formatForTerminal(typeof value === "string" ? value : JSON.stringify(value ?? "")))
}

/** Keeps the lines of a text; other invisible characters are shown. */
function lines(value: unknown): string {
  return (typeof value === "string" ? value : JSON.stringify(value ?? "")).split("\n").map(text).join("\n")
}

function anchor(id: unknown): string {
  return `m-${Buffer.from(String(id)).toString("hex").slice(0, 200)}`
}

function escapeHtml(value: string): string {
  return value.replaceAll(/[&<>"'`]/g, (char) => `&#${char.charCodeAt(0)};`)
}
