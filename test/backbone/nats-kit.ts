import { expect, onTestFinished } from "vitest"
import type { Backbone, LogEntry, Logs } from "../../src/backbone/backbone.js"
import { openNatsBackbone } from "../../src/backbone/nats/nats-backbone.js"
import { systemClock } from "../../src/base/clock.js"
import { until } from "../kit/condition.js"
import { NatsServer } from "../kit/nats.js"
import { hasProgram } from "../kit/requires.js"
import { patienceMs } from "./conformance-kit.js"

/** Three servers on a loaded machine may take their time. */
export const testMs = 240_000
export const isPresent = hasProgram("nats-server")

let spaces = 0

/** A space nobody used yet. */
export function newSpace(): string {
  return `space${spaces++}`
}

/** Opens a space until the running test ends. */
export async function open(servers: string, space: string, log: (line: string) => void = () => {}) {
  const backbone = await openNatsBackbone({ servers, space, clock: systemClock, log })
  onTestFinished(() => backbone.close(), patienceMs)
  return backbone
}

/** A server until the running test ends. */
export async function startServer(config = ""): Promise<NatsServer> {
  const server = await NatsServer.start({ config })
  onTestFinished(() => server.dispose(), patienceMs)
  return server
}

/** The same of two relays. */
export async function both<T>(
  backbones: readonly [Backbone, Backbone],
  of: (backbone: Backbone) => Promise<T>,
) {
  return Promise.all([of(backbones[0]), of(backbones[1])])
}

/** Appends until it is answered, as a sender does. */
export async function insist(logs: Logs, key: string, id: string): Promise<number> {
  return until(
    `${id} is taken`,
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

/** Every entry that is told from now on. */
export async function hear(logs: Logs): Promise<LogEntry[]> {
  const heard: LogEntry[] = []
  await logs.subscribe((entry) => void heard.push(entry))
  return heard
}

/** What `isReachable` became, in order. */
export function reachOf(backbone: Backbone): boolean[] {
  const states: boolean[] = []
  backbone.onReachabilityChange((isReachable) => void states.push(isReachable))
  return states
}
