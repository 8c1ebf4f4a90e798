import { expect, it } from "vitest"
import { htmlPage } from "../../../src/cli/log/html-page.js"

const hostile = `</pre><script>alert(1)</script><img src=x onerror=alert(1)> & "'\u202e\u001b`

it("shows hostile names, texts and ids as text, and has no script", () => {
  const message = {
    type: "MSG",
    from: hostile,
    name: hostile,
    content: hostile,
    msg_id: hostile,
    in_reply_to: hostile,
    ts: 1,
  }
  const page = [...htmlPage(hostile, 0, [message, { ...message, type: hostile, kind: hostile }])].join("")
  expect(page).not.toMatch(/<script|<img|onerror=[^&]*>|\u202e|\u001b/)
  expect(
    page
      .match(/<[a-z!/][^>]*>/g)
      ?.filter(
        (tag) =>
          !/^<(!DOCTYPE|\/?(html|head|meta|title|style|body|h1|p|time|ol|li|b|code|a|pre))\b/.test(tag),
      ),
  ).toEqual([])
  expect(page).toContain("default-src 'none'")
})

it("keeps the lines of a text, and links an answer to its question", () => {
  const question = { type: "MSG", content: "one\ntwo", msg_id: "x.1", ts: 1 }
  const page = [
    ...htmlPage("#general", 0, [question, { ...question, msg_id: "x.2", in_reply_to: "x.1" }]),
  ].join("")
  expect(page).toContain("<pre>one\ntwo</pre>")
  const id = /<li id="(m-[0-9a-f]+)"/.exec(page)?.[1]
  expect(page).toContain(`href="#${id}"`)
})
