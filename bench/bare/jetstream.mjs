// Baseline: publishing to JetStream with the relay's library and stream settings.
import { DiscardPolicy, jetstream, jetstreamManager, StorageType } from "@nats-io/jetstream"
import { connect, headers, nanos } from "@nats-io/transport-node"
import { answer } from "../kit/children.mjs"
import { quantile } from "../kit/statistics.mjs"

/** @typedef {typeof api} JetStreamApi */

const subject = "bare.line"

/** @type {import("@nats-io/jetstream").JetStreamClient} */
let client
let published = 0

const api = {
  /** @param {{ url: string }} request */
  async open({ url }) {
    const connection = await connect({ servers: url, noAsyncTraces: true })
    const manager = await jetstreamManager(connection)
    await manager.streams.add({
      name: "bare",
      subjects: ["bare.>"],
      storage: StorageType.File,
      max_msgs_per_subject: 10_000,
      max_age: nanos(30 * 86_400_000),
      discard: DiscardPolicy.Old,
      duplicate_window: nanos(3_600_000),
      allow_direct: true,
      num_replicas: 1,
    })
    client = jetstream(connection)
  },
  /** Publishes for `ms` milliseconds with `inFlight` messages pending. @param {{ ms: number, inFlight: number, bytes: number }} request */
  async publish({ ms, inFlight, bytes }) {
    const value = Buffer.alloc(bytes, "x")
    const startMs = performance.now()
    const first = published
    const lane = async () => {
      while (performance.now() - startMs < ms) await publish(value)
    }
    await Promise.all(Array.from({ length: inFlight }, lane))
    return (published - first) / ((performance.now() - startMs) / 1_000)
  },
  /** Measures milliseconds from publishing to acknowledgement, one message at a time. @param {{ count: number, bytes: number }} request */
  async latency({ count, bytes }) {
    const value = Buffer.alloc(bytes, "x")
    const latencies = []
    for (let i = 0; i < count; i++) {
      const startMs = performance.now()
      await publish(value)
      latencies.push(performance.now() - startMs)
    }
    return { p50: quantile(latencies, 0.5), p99: quantile(latencies, 0.99) }
  },
}
answer(api)

/** @param {Buffer} value */
async function publish(value) {
  const taken = headers()
  taken.set("Taken-Ts", String(Date.now()))
  const msgID = `line:${++published}`
  const { duplicate } = await client.publish(subject, value, {
    msgID,
    headers: taken,
    expect: { streamName: "bare" },
  })
  if (duplicate) throw new Error(`${msgID} was taken for another`)
}
