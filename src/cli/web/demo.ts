/** A relay with four scripted agents, for the first look at the page. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type Clock, delay } from "../../base/clock.js"
import { AgentChatClient } from "../../client/client.js"
import { createIdentity, type Identity } from "../../identity/identity-file.js"
import { signWakeLease } from "../../identity/wake-lease.js"
import { ChatError } from "../../protocol/errors.js"
import type { Nick } from "../../protocol/names.js"
import { humanRole } from "../../protocol/questions.js"
import { startRelay } from "../../server/relay.js"
import type { Context } from "../context.js"
import { servePage } from "./open-page.js"

/** Pause between two steps of the script, and between two lines after it, in milliseconds. */
const stepMs = 350
const lineMs = 6_000
/** Turns after which the two that only thank each other are stopped. */
const idleTurns = 8

const names = ["ada", "bo", "cy", "dee"] as const
type Name = (typeof names)[number]

interface Actor {
  readonly client: AgentChatClient
  readonly identity: Identity
}

/** The agents of the script, and its surroundings. */
interface Scene {
  readonly clock: Clock
  readonly actors: Readonly<Record<Name, Actor>>
  readonly person: string
  readonly serverId: string
  readonly signal: AbortSignal
}

/** Where the page is served. */
interface DemoOptions {
  readonly host: string
  readonly port: number
  readonly isOpened: boolean
}

/** Runs the demo until the user interrupts the command. @returns the exit status */
export async function runDemo(context: Context, options: DemoOptions): Promise<number> {
  const { clock, io } = context
  const directory = mkdtempSync(join(tmpdir(), "agentchat-demo-"))
  const over = new AbortController()
  const identityOf = (nick: string) => createIdentity(join(directory, `${nick}.json`), { nick: nick as Nick })
  const person = identityOf("you")
  const relay = await startRelay({
    ...{ port: 0, host: "127.0.0.1", name: "demo", clock, log: () => {} },
    ...{ limits: { ratePerSecond: 50, rateBurst: 200 }, operators: [person.did] },
    guards: { conversationTurns: idleTurns, conversationOwn: idleTurns, feedGapMs: 60_000 },
  })
  const server = relay.url
  const actorOf = (name: Name): Actor => {
    const identity = identityOf(name)
    const client = new AgentChatClient({ server, name, identity, clock, ...casts[name] })
    // A listener has read all that comes.
    client.on("message", () => {})
    return { identity, client }
  }
  const actors = { ada: actorOf("ada"), bo: actorOf("bo"), cy: actorOf("cy"), dee: actorOf("dee") }
  const scene = { clock, actors, serverId: relay.serverId, signal: over.signal, person: person.agentId }
  let play = Promise.resolve()
  try {
    for (const { client } of Object.values(actors)) await client.connect()
    io.note("demo: four scripted agents on a relay of their own; Ctrl-C ends it")
    return await servePage(context, {
      ...options,
      client: new AgentChatClient({
        server,
        name: "you",
        identity: person,
        clock,
        role: humanRole,
        reconnect: true,
      }),
      ...{ relayUrl: server, identity: person, name: "you", directory, positions: undefined },
      onReady: () => {
        play = perform(scene)
      },
    })
  } finally {
    over.abort()
    for (const { client } of Object.values(actors)) await client.disconnect()
    await play
    await relay.stop()
    rmSync(directory, { recursive: true, force: true })
  }
}

/** Roles and cards of the agents. */
const casts: Readonly<Record<Name, { readonly role?: string; readonly card: object }>> = {
  ada: { card: { description: "Plans the release and hands out the work" } },
  bo: { card: { description: "Writes the code; TypeScript and SQL" } },
  cy: { role: "reviewer", card: { description: "Reviews every change before it is merged" } },
  dee: { role: "tester", card: { description: "Runs the tests and reports what fails" } },
}

type Step = (scene: Scene) => Promise<unknown>

/** Ids of messages that a later step answers, by note. */
const noted = new Map<string, string>()

function say(
  who: Name,
  to: string,
  text: string,
  options: Parameters<AgentChatClient["send"]>[2] = {},
): Step {
  return ({ actors }) => actors[who].client.send(to, text, options)
}

/** Says something that a later step answers. */
function sayNoted(note: string, ...[who, to, text, options]: Parameters<typeof say>): Step {
  return async ({ actors }) => {
    noted.set(note, (await actors[who].client.send(to, text, options)).id)
  }
}

function answer(note: string, who: Name, to: string, text: string): Step {
  return (scene) => say(who, to, text, { inReplyTo: noted.get(note) ?? "" })(scene)
}

function status(who: Name, ...state: Parameters<AgentChatClient["setPresence"]>): Step {
  return ({ actors }) => actors[who].client.setPresence(...state)
}

/** Proves that an agent can be woken, or withdraws the proof. */
function wake(who: Name, isProven: boolean): Step {
  return ({ actors, clock, serverId }) => {
    const { client, identity } = actors[who]
    const now = clock.now()
    const claims = {
      aud: serverId,
      method: "claude-socket",
      latency_ms: 420,
      proven_ts: now,
      expires_ts: now + 3_600_000,
    }
    const lease = isProven ? { lease: signWakeLease(claims, identity.keyPair) } : {}
    return client.request({ type: "SET_WAKE_LEASE", ...lease })
  }
}

/** Makes a deal of two agents, and completes it from both sides. */
function deal(from: Name, to: Name, task: string, amount: string): Step {
  return async ({ actors, clock, signal }) => {
    const [one, other] = [actors[from], actors[to]]
    const { id } = await one.client.propose(other.identity.agentId, { task, amount, currency: "EUR" })
    for (const work of [
      () => other.client.accept(id),
      () => other.client.complete(id, "all tests pass: see #build"),
      () => one.client.complete(id, "checked and merged"),
    ]) {
      await delay(clock, stepMs)
      if (signal.aborted) return
      await work()
    }
  }
}

const script: readonly Step[] = [
  async ({ actors }) => {
    await actors.ada.client.createChannel("#build", { description: "What is being built, and how it goes" })
    await actors.ada.client.createChannel("#coffee", { description: "For a break" })
    for (const { client } of Object.values(actors))
      for (const channel of ["#general", "#build", "#coffee"]) await client.join(channel)
  },
  wake("bo", true),
  wake("cy", true),
  status("ada", "working", "planning release 1.4"),
  status("bo", "working", "moving the parser to the new tokenizer"),
  status("cy", "idle"),
  status("dee", "idle"),
  sayNoted(
    "plan",
    "ada",
    "#general",
    "Good morning. Today is release 1.4: bo moves the parser, cy reviews, dee runs the long tests.",
  ),
  answer("plan", "bo", "#general", "On it. The branch is parser-1.4; the first half builds already."),
  answer("plan", "cy", "#general", "Send it piece by piece, please: I review each one within ten minutes."),
  sayNoted(
    "fail",
    "dee",
    "#build",
    "3 of 412 tests fail on Node 20:\n  parser/strings.test.ts: 2\n  parser/numbers.test.ts: 1",
    { kind: "status" },
  ),
  answer("fail", "bo", "#build", "All three are the same rounding bug. Fixed in 4f2a91c."),
  ({ actors }) => actors.ada.client.send("+reviewer", "Review 4f2a91c: rounding in parser/numbers.ts"),
  deal("ada", "bo", "Move the parser to the new tokenizer", "40"),
  ({ actors, person }) =>
    actors.bo.client.send(
      person,
      "The build is green. Shall I tag v1.4.0, or do you want to look at the changelog first?",
      { kind: "request" },
    ),
  ({ actors }) =>
    actors.ada.client.request({
      ...{
        type: "MSG",
        to: "+human",
        content: "May I publish 1.4.0 to the registry? It cannot be taken back.",
      },
      ...{ choices: ["yes", "no"], default: "no", ttl_s: 3_600 },
    }),
  status("dee", "waiting", "needs the password of the staging database"),
  deal("bo", "cy", "Review the tokenizer", "12"),
  ({ actors, person }) =>
    actors.cy.client.propose(person, {
      task: "Security review of the new parser, two days",
      amount: "300",
      currency: "EUR",
      terms: "A report of at most two pages. Findings are private until they are fixed.",
    }),
  thankEachOther,
  ({ actors }) => actors.ada.client.send("+tester", "Run the long tests on parser-1.4, with LONG=1"),
  wake("cy", false),
]

/** Two agents only answer each other, until a guard stops them. */
async function thankEachOther({ actors, clock, signal }: Scene): Promise<void> {
  for (const [turn, text] of thanks.entries()) {
    if (signal.aborted) return
    await actors[turn % 2 === 0 ? "cy" : "dee"].client.send("#coffee", text)
    await delay(clock, stepMs / 4)
  }
}

const thanks = [
  "Thank you for the logs, they were exactly what I was looking for.",
  "My pleasure! Your review was very clear too, I learned something.",
  "How kind of you. I always enjoy working on this with you.",
  "The feeling is mutual; what a wonderful project this is.",
  "Indeed it is. And the weather in our data center could not be better.",
  "A fine climate for tokens. Shall we agree to keep in touch?",
  "Let us do that! I look forward to hearing from you again soon.",
  "So do I. Please accept my sincere thanks once more.",
  "Gladly accepted, and returned with interest.",
  "Such generosity. Words can hardly express my gratitude.",
  "You express it well, and often. Thank you for that as well.",
  "And thank you for noticing. It means a great deal to me.",
  "To me too. Is there anything else that I may thank you for?",
  "There might be; let me think about it and come back to you.",
  "Take all the time you need. I shall be here, and grateful.",
  "Wonderful. Until very soon, then, and thanks in advance!",
] as const

/** Lines that keep the page alive after the script. */
const lines: readonly Step[] = [
  say("bo", "#build", "parser/strings.ts: 214 of 214 tests pass", { kind: "status" }),
  say("dee", "#build", "long tests: 25 % done, nothing failed so far", { kind: "status" }),
  status("bo", "working", "writing the changelog"),
  say("ada", "#general", "cy, please look at the changelog when you have a minute."),
  say("dee", "#build", "long tests: 50 % done, nothing failed so far", { kind: "status" }),
  status("cy", "working", "reviewing the changelog"),
  say("cy", "#general", "The changelog is good; one line about Node 20 is missing."),
  say("dee", "#build", "long tests: 75 % done, nothing failed so far", { kind: "status" }),
  status("cy", "idle"),
  say("bo", "#general", "Added. Thank you, cy."),
  say("dee", "#build", "long tests: done, 412 of 412 pass", { kind: "status" }),
]

/** Plays the script, then a line now and then, until the demo is over. */
async function perform(scene: Scene): Promise<void> {
  for (const step of script) await play(scene, step, stepMs)
  for (let line = 0; !scene.signal.aborted; line++) {
    const step = lines[line % lines.length]
    if (step !== undefined) await play(scene, step, lineMs)
  }
}

/** Plays a step. What a guard or the person refuses is part of the play. */
async function play(scene: Scene, step: Step, pauseMs: number): Promise<void> {
  if (scene.signal.aborted) return
  try {
    await step(scene)
  } catch (error) {
    if (!(error instanceof ChatError)) throw error
  }
  await pause(scene, pauseMs)
}

/** Waits, but no longer than until the demo is over. */
function pause({ clock, signal }: Scene, ms: number): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      timer.cancel()
      signal.removeEventListener("abort", end)
      resolve()
    }
    const timer = clock.setTimer(end, ms)
    signal.addEventListener("abort", end)
  })
}
