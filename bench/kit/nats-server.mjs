import { spawnSync } from "node:child_process"
import { startProgram } from "./children.mjs"
import { findFreePort, waitForPort } from "./relay.mjs"
import { makeDirectory } from "./temporary.mjs"

/** Version of the nats-server on this machine, `undefined` without one. */
export const natsVersion = /v[\d.]+/.exec(String(spawnSync("nats-server", ["--version"]).stdout))?.[0]

/**
 * Starts one server.
 * @param {import("./children.mjs").Defer} defer - told how to end it
 * @param {{ isKeeping?: boolean }} [options] - whether with JetStream, on a disk directory of its own
 */
export async function startNats(defer, { isKeeping = false } = {}) {
  const port = await findFreePort()
  const keeping = isKeeping ? ["--jetstream", "--store_dir", makeDirectory(defer)] : []
  const server = startProgram("nats-server", ["--addr", "127.0.0.1", "--port", String(port), ...keeping])
  defer(server.end)
  await waitForPort(port, server)
  return { pid: server.pid, port, url: `nats://127.0.0.1:${port}` }
}
