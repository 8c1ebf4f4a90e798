import { onTestFinished } from "vitest"
import { signChallenge } from "../../src/identity/auth-proof.js"
import { formatDidKey } from "../../src/identity/keys.js"
import type { KeyPair } from "../../src/identity/signer.js"
import type { Limits } from "../../src/protocol/limits.js"
import type { ServerMessage } from "../../src/protocol/server-messages.js"
import { type Relay, type RelayOptions, startRelay } from "../../src/server/relay.js"
import { FakeClock } from "./fake-clock.js"
import { liftedGuards } from "./guards.js"
import { Wire } from "./wire.js"

/** Rate limits that no test reaches. */
const unlimited = { ratePerSecond: 1e9, requestsPerSecond: 1e9, requestBurst: 1e9 } as const

/** Milliseconds after which a stopping relay has closed all connections. */
const stopMs = 10_000

/** Options of a test relay; several may share a clock. */
interface TestRelayOptions extends Partial<Omit<RelayOptions, "clock">> {
  readonly limits?: Partial<Limits>
  readonly clock?: FakeClock
}

/** A relay on a fake clock, and its clients. */
export class TestRelay {
  readonly relay: Relay
  readonly clock: FakeClock
  readonly log: string[]
  readonly #path: string

  private constructor(relay: Relay, clock: FakeClock, log: string[], path = "/") {
    this.relay = relay
    this.clock = clock
    this.log = log
    this.#path = path
  }

  /** Returns the same relay, whose clients connect to one of its spaces. */
  space(name: string): TestRelay {
    return new TestRelay(this.relay, this.clock, this.log, `/space/${name}`)
  }

  /** Starts a relay on a free port, by default without rate limits and guards; it ends with the test. */
  static async start(options: TestRelayOptions = {}): Promise<TestRelay> {
    const { clock = new FakeClock() } = options
    const log: string[] = []
    const limits = { ...unlimited, ...options.limits }
    const host = "127.0.0.1"
    const relay = await startRelay({
      port: 0,
      host,
      log: (line) => log.push(line),
      guards: liftedGuards,
      ...options,
      clock,
      limits,
    })
    const started = new TestRelay(relay, clock, log)
    onTestFinished(() => started.stop())
    return started
  }

  /** Stops the relay without waiting for silent peers. */
  async stop(): Promise<void> {
    const stopped = this.relay.stop()
    this.clock.advance(stopMs)
    await stopped
  }

  /** Opens a connection that has sent nothing. */
  connect(headers: readonly string[] = []): Promise<Wire> {
    return Wire.open(this.relay.port, headers, this.#path)
  }

  /** Connects a client without a key that joins `channels`. */
  async enter(name: string, ...channels: readonly string[]): Promise<TestAgent> {
    const wire = await this.connect()
    wire.say({ type: "IDENTIFY", name })
    return settleIn(wire, channels)
  }

  /** Connects a client with a key that joins `channels`. */
  async enterAs(keyPair: KeyPair, name: string, ...channels: readonly string[]): Promise<TestAgent> {
    const wire = await this.connect()
    wire.say({ type: "IDENTIFY", name, pubkey: formatDidKey(keyPair.publicKey) })
    wire.say(prove(await wire.next("CHALLENGE"), keyPair))
    return settleIn(wire, channels)
  }
}

/** A connected client. */
export interface TestAgent {
  readonly wire: Wire
  readonly id: string
  readonly welcome: ServerMessage<"WELCOME">
}

/** Builds the correct answer to a challenge. */
export function prove(
  { aud, challenge_id, nonce }: ServerMessage<"CHALLENGE">,
  keyPair: KeyPair,
  iat = 1_800_000_000,
): object {
  const sig = signChallenge({ aud, challenge_id, nonce, iat }, keyPair)
  return { type: "VERIFY_IDENTITY", challenge_id, iat, sig }
}

async function settleIn(wire: Wire, channels: readonly string[]): Promise<TestAgent> {
  const welcome = await wire.next("WELCOME")
  for (const channel of channels) {
    wire.say({ type: "JOIN", channel })
    await wire.next("JOINED")
  }
  return { wire, id: welcome.agent_id, welcome }
}
