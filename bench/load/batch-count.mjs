// Preloaded into a relay: counts the batches it sends to its store thread. SIGUSR2 writes the counts to the file named by
// the `to` parameter of this module's URL, and resets them.
import { renameSync, writeFileSync } from "node:fs"
import process from "node:process"
import { isMainThread, Worker } from "node:worker_threads"

/** @typedef {{ take: number, batches: number, appends: number }} Batches - those with anything to append, and how much of it */
/** @typedef {{ kind: string, ops?: readonly { op: string }[] }} Request */

if (isMainThread) {
  let take = 0
  let batches = 0
  let appends = 0
  Worker.prototype.postMessage = new Proxy(Reflect.get(Worker.prototype, "postMessage"), {
    apply(post, worker, args) {
      const [request] = /** @type {[Request]} */ (args)
      const count = request.ops?.filter(({ op }) => op === "append").length ?? 0
      appends += count
      if (count > 0) batches++
      Reflect.apply(post, worker, args)
    },
  })
  const to = new URL(import.meta.url).searchParams.get("to") ?? ""
  process.on("SIGUSR2", () => {
    writeFileSync(`${to}.new`, JSON.stringify({ take: ++take, batches, appends }))
    renameSync(`${to}.new`, to)
    batches = appends = 0
  })
}
