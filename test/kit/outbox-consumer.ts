import { type ChildProcess, spawn } from "node:child_process"
import { join } from "node:path"
import { pathToFileURL } from "node:url"

const distUrl = pathToFileURL(join(import.meta.dirname, "../../dist/src/")).href

// Writes `ID CONTENT` of each outbox line to a file, and settles the lines a little later, in any order.
const program = `
import { openSync, writeSync } from "node:fs"
import { systemClock } from "${distUrl}base/clock.js"
import { rootPaths } from "${distUrl}daemon/files/paths.js"
import { Outbox } from "${distUrl}daemon/outbox/outbox.js"
const [root, sink, limits] = process.argv.slice(1)
const fd = openSync(sink, "a")
const outbox = new Outbox({
  paths: rootPaths(root).instance("default"),
  clock: systemClock,
  limits: JSON.parse(limits),
  onProblem: (problem) => { if (problem !== undefined) throw problem },
  onLines: () => setImmediate(drain),
  reject: () => {},
})
function drain() {
  const lines = outbox.take(1 + Math.floor(Math.random() * 32))
  if (lines.length === 0) return
  if (Math.random() < 0.02) { outbox.release(); return setImmediate(drain) }
  for (const line of lines) writeSync(fd, line.id + " " + line.frame.content + "\\n")
  for (const line of lines) setTimeout(() => line.settle(), Math.random() * 4)
  setImmediate(drain)
}
setInterval(() => { outbox.sweep(); drain() }, 10)
`

/** Starts a process that consumes the outbox of the daemon `default` below `root`; it runs until it is killed. */
export function startConsumer(root: string, sink: string, limits: object): ChildProcess {
  const args = ["--input-type=module", "-e", program, root, sink, JSON.stringify(limits)]
  return spawn(process.execPath, args, { stdio: ["ignore", "inherit", "inherit"] })
}
