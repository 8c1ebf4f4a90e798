/** The numbers of a relay for Prometheus. Labels are words of this program, so that there are few series. Loaded on use. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client"
import type { RelayObserver } from "./observer.js"

/** The facts that are read whenever the metrics are asked for. */
export interface RelayGauges {
  readonly connections: number
  readonly sessions: number
  readonly channels: number
  readonly agents: number
  readonly mailboxMessages: number
  readonly mailboxBytes: number
  readonly queueBytes: number
  readonly isStoreReachable: boolean
}

const latencySeconds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10]

/** Counts what a relay does, and formats it for Prometheus. */
export class RelayMetrics implements RelayObserver {
  readonly #registry = new Registry()
  readonly #messages = this.#counter(
    "messages_total",
    "messages by what they are sent to, kind and outcome",
    ["target", "kind", "outcome"],
  )
  readonly #requests = this.#counter("requests_total", "other requests by type and outcome", [
    "type",
    "outcome",
  ])
  readonly #stages = this.#counter("delivery_total", "stages of delivery that messages reached", ["stage"])
  readonly #stops = this.#counter("guard_stops_total", "messages that a guard refused", ["rule"])
  readonly #store = new Histogram({
    name: "agentchat_store_seconds",
    help: "time of an operation of the storage",
    labelNames: ["operation", "result"],
    buckets: latencySeconds,
    registers: [this.#registry],
  })

  constructor() {
    collectDefaultMetrics({ register: this.#registry })
  }

  /** Adds what is read at each request. */
  watch(read: () => RelayGauges): void {
    const gauge = (name: string, help: string, value: (gauges: RelayGauges) => number): void => {
      new Gauge({
        name: `agentchat_${name}`,
        help,
        registers: [this.#registry],
        collect() {
          this.set(value(read()))
        },
      })
    }
    gauge("connections", "open WebSocket connections", ({ connections }) => connections)
    gauge("sessions", "agents that are connected", ({ sessions }) => sessions)
    gauge("channels", "channels", ({ channels }) => channels)
    gauge("agents", "agents that the relay knows", ({ agents }) => agents)
    gauge("mailbox_messages", "messages in mailboxes, since the start", (all) => all.mailboxMessages)
    gauge("mailbox_bytes", "bytes in mailboxes", ({ mailboxBytes }) => mailboxBytes)
    gauge("queue_bytes", "bytes that wait to be sent to clients", ({ queueBytes }) => queueBytes)
    gauge("store_reachable", "1 if the storage can be reached", (all) => Number(all.isStoreReachable))
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  /** Returns all numbers in the text format of Prometheus. */
  text(): Promise<string> {
    return this.#registry.metrics()
  }

  message: RelayObserver["message"] = ({ to, kind = "none" }, outcome) => {
    const target = to.startsWith("#") ? "channel" : to.startsWith("+") ? "role" : "agent"
    this.#messages.inc({ target, kind, outcome })
  }

  request: RelayObserver["request"] = (type, outcome) => this.#requests.inc({ type, outcome })

  stage: RelayObserver["stage"] = (stage) => this.#stages.inc({ stage })

  stop: RelayObserver["stop"] = (rule) => this.#stops.inc({ rule })

  stored: RelayObserver["stored"] = (operation, seconds, hasFailed) =>
    this.#store.observe({ operation, result: hasFailed ? "failed" : "ok" }, seconds)

  #counter<Label extends string>(name: string, help: string, labelNames: Label[]): Counter<Label> {
    return new Counter({ name: `agentchat_${name}`, help, labelNames, registers: [this.#registry] })
  }
}
