import { mkdirSync, writeSync } from "node:fs"
import { systemClock } from "../../src/base/clock.js"
import { rootPaths } from "../../src/daemon/files/paths.js"
import { Inbox } from "../../src/daemon/inbox/inbox.js"
import { parseInstanceName } from "../../src/protocol/names.js"

/*
 * Appends messages to an inbox until it is killed. Prints the number of each
 * message once it is durable.
 *
 *     node inbox-child.js ROOT FIRST LIMITS
 *
 * FIRST is the number of the first message, LIMITS a JSON object.
 */
const [root = "", first = "1", limits = "{}"] = process.argv.slice(2)

const paths = rootPaths(root).instance(parseInstanceName("a"))
mkdirSync(paths.dir, { recursive: true })
const inbox = Inbox.open({
  paths,
  clock: systemClock,
  limits: JSON.parse(limits) as object,
  onDurable: ({ marks }) => writeSync(1, `${marks.join("\n")}\n`),
  onProblem: (problem) => {
    if (problem !== undefined) throw problem
  },
  onPressure: () => {},
})

let next = Number(first)

function appendSome(): void {
  for (let count = 1 + (next % 17); count > 0; count--, next++) {
    // Sizes below and above a page, and sometimes far above one write.
    const content = "x".repeat(next % 97 === 0 ? 300_000 : (next * 53) % 700)
    const id = `x.${next}`
    inbox.append({ type: "MSG", n: next, content, msg_id: id }, { msgId: id, mark: next })
  }
  setTimeout(appendSome, next % 3)
}

appendSome()
setInterval(() => {
  inbox.sweep()
}, 20)
