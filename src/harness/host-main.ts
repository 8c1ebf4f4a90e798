/**
 * Entry point of the background process. Reads one order on standard input, writes one reply to descriptor 3 once the
 * daemon is running or failed to start, and then takes requests on its control socket.
 */
import { closeSync, readFileSync, writeSync } from "node:fs"
import { tmpdir } from "node:os"
import { systemClock } from "../base/clock.js"
import { EventLog } from "../daemon/files/append-log.js"
import { openHome } from "../daemon/files/home.js"
import type { DaemonStart } from "../daemon/options.js"
import { type ControlReply, replyOf } from "../daemon/process/control-socket.js"
import { openHostProcess } from "../daemon/process/host.js"
import { openTracer } from "../tracing/open-tracer.js"
import { sessionFinder } from "./wake/find-session.js"

/** Lines of the log that the reply repeats. */
const maxNotices = 10

/** The input of a host process. */
interface Order {
  readonly root: string
  readonly shared: boolean
  readonly start: DaemonStart
}

async function main(): Promise<number> {
  const order = JSON.parse(readFileSync(0, "utf8")) as Order
  const uid = process.getuid?.() ?? 0
  const root = openHome(order.root, uid)
  // Only what Node prints when it crashes comes through standard error.
  const log = new EventLog(root.hostLog, systemClock)
  const notices: string[] = []
  const tracer = await openTracer(process.env, "agentchat-daemon")
  const host = await openHostProcess({
    tracer,
    root,
    shared: order.shared,
    clock: systemClock,
    random: () => Math.random(),
    pid: process.pid,
    uid,
    findSession: sessionFinder(root, { clock: systemClock, env: process.env, uid }),
    runtimeDirs: [process.env["XDG_RUNTIME_DIR"], tmpdir(), "/tmp"],
    log: (line) => {
      if (notices.length < maxNotices) notices.push(line)
      log.write(line)
    },
  })
  process.on("uncaughtException", (error) => host.onUncaught(error))
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => void host.stopAll())
  process.on("SIGHUP", () => host.sweep())
  const failure = await host.start(order.start).then(() => undefined, replyOf)
  reply(failure ?? { ok: true, notices })
  // Another daemon may have joined this process while ours failed to start.
  const exit = failure !== undefined && host.size === 0 ? 1 : ((await host.ended)?.exit ?? 0)
  await host.close()
  await tracer.close()
  return exit
}

function reply(value: ControlReply): void {
  writeSync(3, `${JSON.stringify(value)}\n`)
  closeSync(3)
}

main().then(
  (exit) => process.exit(exit),
  (error: unknown) => {
    reply(replyOf(error))
    process.exit(1)
  },
)
