import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { join } from "node:path"
import { expect, it, onTestFinished } from "vitest"
import { until } from "../kit/condition.js"
import { programPath, Workspace } from "../kit/program.js"

it("a relay listens on the socket of a service manager and reports that it is ready", async () => {
  const workspace = new Workspace()
  onTestFinished(() => workspace.dispose())
  const report = join(workspace.dir, "report")
  mkdirSync(join(workspace.dir, "bin"))
  // The relay answers by then: a manager starts what needs it.
  const script = `#!/bin/sh\necho "$@" >${report}.tmp && mv ${report}.tmp ${report}\n`
  writeFileSync(join(workspace.dir, "bin", "systemd-notify"), script, { mode: 0o755 })
  const server = createServer()
  onTestFinished(() => void server.close())
  await once(server.listen(0, "127.0.0.1"), "listening")
  const { port } = server.address() as { port: number }
  const { fd } = (server as unknown as { _handle: { fd: number } })._handle
  const start = 'LISTEN_PID=$$ LISTEN_FDS=1 NOTIFY_SOCKET=@x exec "$0" "$1" serve --host 203.0.113.1'
  const relay = spawn("sh", ["-c", start, process.execPath, programPath], {
    cwd: workspace.dir,
    env: { ...workspace.env, PATH: `${workspace.dir}/bin:${process.env["PATH"]}` },
    stdio: ["ignore", "pipe", "ignore", fd],
  })
  onTestFinished(() => void relay.kill("SIGKILL"))
  const [printed] = (await once(relay.stdout as NodeJS.ReadableStream, "data")) as [Buffer]
  expect(printed.toString()).toBe(`relay on ws://127.0.0.1:${port}\n`)
  await until("the report", () => readReport(report) === "--ready\n")
  relay.kill("SIGTERM")
  expect(await once(relay, "exit")).toEqual([0, null])
})

function readReport(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8")
  } catch {
    return undefined
  }
}
