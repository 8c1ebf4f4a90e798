import { spawnSync } from "node:child_process"
import { startProgram } from "./children.mjs"
import { findFreePort, waitForPort } from "./relay.mjs"
import { makeDirectory } from "./temporary.mjs"

/** Version of the nats-server on this machine; `undefined` if there is none. */
export const natsVersion = /v[\d.]+/.exec(String(spawnSync("nats-server", ["--version"]).stdout))?.[0]

/**
 * Starts a server.
 * @param {import("./children.mjs").Defer} defer - registers its end
 * @param {{ isKeeping?: boolean }} [options] - enables JetStream in a temporary directory
 */
export async function startNats(defer, { isKeeping = false } = {}) {
  const port = await findFreePort()
  const keeping = isKeeping ? ["--jetstream", "--store_dir", makeDirectory(defer)] : []
  const server = startProgram("nats-server", ["--addr", "127.0.0.1", "--port", String(port), ...keeping])
  defer(server.end)
  await waitForPort(port, server)
  return { pid: server.pid, port, url: `nats://127.0.0.1:${port}` }
}
