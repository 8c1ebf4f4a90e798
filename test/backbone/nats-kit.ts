import { expect, onTestFinished } from "vitest"
import type { Backbone, LogEntry, Logs } from "../../src/backbone/backbone.js"
import { openNatsBackbone } from "../../src/backbone/nats/nats-backbone.js"
import { systemClock } from "../../src/base/clock.js"
import { until } from "../kit/condition.js"
import { NatsServer, startNatsCluster } from "../kit/nats.js"
import { hasProgram } from "../kit/requires.js"
import { patienceMs } from "./conformance-kit.js"

/** Time limit for three servers on a loaded machine. */
export const testMs = 240_000
export const isPresent = hasProgram("nats-server")

let spaces = 0

/** Returns the name of an unused space. */
export function newSpace(): string {
  return `space${spaces++}`
}

/** Runs a function when a test ends; a concurrent test passes the one of its context. */
export type Defer = (cleanup: () => Promise<void>, timeoutMs?: number) => void

/** Opens a space until the test ends. */
export async function open(
  servers: string,
  space: string,
  log: (line: string) => void = () => {},
  defer: Defer = onTestFinished,
) {
  const backbone = await openNatsBackbone({
    servers,
    space,
    clock: systemClock,
    log,
    connectTimeoutMs: 60_000,
  })
  defer(() => backbone.close(), patienceMs)
  return backbone
}

/** Starts a server that is disposed of when the test ends. */
export async function startServer(config = "", defer: Defer = onTestFinished): Promise<NatsServer> {
  const server = await NatsServer.start({ config })
  defer(() => server.dispose(), patienceMs)
  return server
}

/** Starts a cluster of three nodes that is disposed of when the test ends. @returns its nodes and its address */
export async function startCluster(defer: Defer): Promise<{ nodes: NatsServer[]; url: string }> {
  const nodes = await startNatsCluster(3)
  defer(async () => {
    await Promise.all(nodes.map((node) => node.dispose()))
  }, patienceMs)
  return { nodes, url: `nats://${nodes.map(({ port }) => `127.0.0.1:${port}`).join(",")}` }
}

/** Applies a function to two relays. */
export async function both<T>(
  backbones: readonly [Backbone, Backbone],
  of: (backbone: Backbone) => Promise<T>,
) {
  return Promise.all([of(backbones[0]), of(backbones[1])])
}

/** Appends an entry, and retries until that succeeds, as a sender does. */
export async function insist(logs: Logs, key: string, id: string): Promise<number> {
  return until(
    `${id} is appended`,
    async () => {
      try {
        return (await logs.append(key, id, id)).seq
      } catch (error) {
        expect(error).toMatchObject({ code: "UNAVAILABLE" })
        return undefined
      }
    },
    60_000,
  )
}

/** Collects every entry from now on. */
export async function collectEntries(logs: Logs): Promise<LogEntry[]> {
  const entries: LogEntry[] = []
  await logs.subscribe((entry) => void entries.push(entry))
  return entries
}

/** Collects the values of `isReachable`. */
export function reachOf(backbone: Backbone): boolean[] {
  const states: boolean[] = []
  backbone.onReachabilityChange((isReachable) => void states.push(isReachable))
  return states
}
