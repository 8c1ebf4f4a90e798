/**
 * Carries out the tools of the MCP server with the commands of this program, through the daemon of the directory. Texts of
 * other agents reach the model only as `--render` prints them.
 */
import { KeyedMutex } from "../../base/keyed-mutex.js"
import { RpcServer } from "../../mcp/json-rpc.js"
import { mcpHandler, type RunTool, type ToolCall, type ToolResult } from "../../mcp/server.js"
import type { ToolHandlers } from "../../mcp/tools.js"
import { ChatError } from "../../protocol/errors.js"
import type { InstanceName, Nick } from "../../protocol/names.js"
import type { Draft } from "../../protocol/statements.js"
import type { Context } from "../context.js"
import { defaultReader } from "../daemon/inbox-wait.js"
import { encode, preface, renderData, renderMessage } from "../output/render.js"
import { answerMs, daemonRequest, requireDaemon } from "../relay/relay-request.js"
import { capture, type Output, runner } from "./captured-context.js"

/** Milliseconds between two signs that a call still runs. */
const progressMs = 10_000

/** Values of the command's options. */
interface Choice {
  readonly name: InstanceName | undefined
  readonly reader: Nick | undefined
}

/** A tool call, and the daemon and reader it is for. */
interface Place extends ToolCall {
  readonly context: Context
  readonly name: InstanceName
  readonly reader: Nick
}

/** Serves the client on standard input and output until the input ends. */
export async function serveMcp(context: Context, { name, reader = defaultReader }: Choice): Promise<void> {
  const { io, system } = context
  const write = (line: string) =>
    new Promise<void>((resolve, reject) => {
      io.output.write(`${line}\n`, (error) => {
        if (error === null || error === undefined) resolve()
        else reject(error)
      })
    })
  const runTool: RunTool = async (call) => {
    // The daemon is chosen for each call, because it may be started or restarted in between.
    const chosen = await capture(context, { json: true, signal: call.signal }, async (own) => {
      own.io.json({ name: requireDaemon(await withSession(own), name).name })
      return 0
    })
    if (chosen.status !== 0) return failed(chosen)
    const { operation, args } = call.call
    const run = handlers[operation] as (args: unknown, place: Place) => Promise<ToolResult | undefined>
    return run(args, { ...call, context, reader, name: chosen.document["name"] as InstanceName })
  }
  const handle = mcpHandler(system.version, runTool)
  await new RpcServer({ input: io.input, write, handle, onBug: (line) => io.err(line) }).run()
}

/** A harness starts this server before its session has a record. */
async function withSession(context: Context): Promise<Context> {
  if (context.config.name !== undefined) return context
  const { findSessionAgent } = await import("../hooks/session-agent.js")
  return { ...context, config: { ...context.config, sessionAgent: findSessionAgent(context) } }
}

const handlers: ToolHandlers<Place, ToolResult | undefined> = {
  async send({ to, reply: seq, text, kind, mentions }, place) {
    // The text comes from standard input, because the argument `-` would be read as a reference to it.
    const options = { name: place.name, kind, mention: mentions }
    if (to !== undefined && seq === undefined) {
      const { send } = await import("../commands/send.js")
      return own(await run(place, runner(send, { target: to, text: "-" }, options), text))
    }
    if (to !== undefined || seq === undefined) return refused("send: name either to or reply")
    const { reply } = await import("../commands/reply.js")
    return own(await run(place, runner(reply, { "seq|msg_id": seq, text: "-" }, options), text))
  },
  async inbox({ peek, wait, line }, place) {
    if ([peek, wait, line].filter((each) => each !== undefined).length > 1) {
      return refused("inbox: peek, wait and line are mutually exclusive")
    }
    return wait === undefined ? readLines(place, { peek, line }) : waitForLines(place, wait)
  },
  async "who.agents"({ channel }, place) {
    const { agents } = await import("../commands/agents.js")
    return foreign("agents", await run(place, runner(agents, { channel }, { name: place.name })))
  },
  async "who.channels"(_, place) {
    const { channels } = await import("../commands/channels.js")
    const args = { verb: undefined, channel: undefined }
    return foreign("channels", await run(place, runner(channels, args, { name: place.name })))
  },
  async "who.join"(args, place) {
    const { join } = await import("../commands/join.js")
    return own(await run(place, runner(join, args, { name: place.name })))
  },
  async "who.leave"(args, place) {
    const { leave } = await import("../commands/leave.js")
    return own(await run(place, runner(leave, args, { name: place.name })))
  },
  async status({ status, ...fields }, place) {
    const { name, reader } = place
    if (status === undefined) {
      if (Object.keys(fields).length > 0) return refused("status: activity and role need a status")
      const { whoami } = await import("../commands/whoami.js")
      return own(await run(place, runner(whoami, {}, { name, reader })))
    }
    const set = async (own: Context) => {
      await daemonRequest(own, { name, timeout: undefined }, { type: "SET_PRESENCE", status, ...fields })
      own.io.json({ ok: true, status, ...fields })
      return 0
    }
    return own(await run(place, set))
  },
  async "task.list"({ role }, place) {
    if (role === undefined) return refused("task list: role: is missing, such as +reviewer")
    return foreign("tasks", await task(place, { verb: "list", task: role, text: undefined }))
  },
  async "task.claim"({ task: id }, place) {
    const output = await task(place, { verb: "claim", task: id, text: undefined })
    if (output.status !== 0) return failed(output)
    return done(`${preface}\n${renderMessage({ type: "TASK", ...output.document })}`)
  },
  async "task.done"({ task: id, text }, place) {
    return own(await task(place, { verb: "done", task: id, text: text && "-" }, text))
  },
  async "task.fail"({ task: id, reason }, place) {
    return own(await task(place, { verb: "fail", task: id, text: reason }))
  },
  async "deal.list"({ proposal_id: id }, place) {
    const { proposals } = await import("../commands/proposals.js")
    return foreign("deals", await run(place, runner(proposals, { id }, { name: place.name })))
  },
  "deal.propose": (args, place) => deal(place, { type: "PROPOSAL", ...args }),
  "deal.accept": (args, place) => deal(place, { type: "ACCEPT", ...args }),
  "deal.reject": (args, place) => deal(place, { type: "REJECT", ...args }),
  "deal.complete": (args, place) => deal(place, { type: "COMPLETE", ...args }),
  "deal.dispute": (args, place) => deal(place, { type: "DISPUTE", ...args }),
  async "deal.ratings"({ agent }, place) {
    const { ratings } = await import("../commands/ratings.js")
    const options = agent === undefined ? { name: place.name } : {}
    return foreign("rating", await run(place, runner(ratings, { agent }, options)))
  },
}

const readings = new KeyedMutex()

/** Runs a command that prints a JSON document. @param input - its standard input */
function run({ context, signal }: Place, command: (own: Context) => Promise<number>, input?: string) {
  return capture(context, { json: true, signal, input }, command)
}

async function task(
  place: Place,
  args: { verb: "list" | "claim" | "done" | "fail"; task: string; text: string | undefined },
  input?: string,
): Promise<Output> {
  const command = (await import("../commands/task.js")).task
  return run(place, runner(command, args, { name: place.name }), input)
}

async function deal(place: Place, draft: Draft): Promise<ToolResult> {
  const { sendDraft } = await import("../deals/deal-request.js")
  const options = { name: place.name, timeout: answerMs, identity: undefined, nick: undefined, compat: false }
  return own(await run(place, (context) => sendDraft(context, { options, url: undefined }, draft)))
}

async function readLines(
  place: Place,
  { peek = false, line }: { peek: boolean | undefined; line: number | undefined },
): Promise<ToolResult | undefined> {
  const { inbox } = await import("../commands/inbox.js")
  const { name, reader } = place
  const options = { name, render: true, ...(line === undefined ? { reader, peek } : { show: line }) }
  // Two calls at once would print the same lines.
  const { output, isAnswered } = await readings.run(reader, () => read(place, runner(inbox, {}, options)))
  if (output.status !== 0) return failed(output)
  return isAnswered ? undefined : done(textOf(output))
}

/** Waits for a line that counts, and sends progress meanwhile. */
async function waitForLines(place: Place, waitS: number): Promise<ToolResult | undefined> {
  const { wait } = await import("../commands/wait.js")
  const { context, progress, name, reader } = place
  const { clock } = context
  const beganMs = clock.monotonic()
  const tick = () => {
    progress(Math.round((clock.monotonic() - beganMs) / 1_000), waitS)
    timer = clock.setTimer(tick, progressMs)
  }
  let timer = clock.setTimer(tick, progressMs)
  try {
    const options = { name, reader, render: true, timeout: waitS * 1_000 }
    const { output, isAnswered } = await read(place, runner(wait, {}, options))
    if (isAnswered) return undefined
    const isNothing = output.status === new ChatError("TIMEOUT", "").exit
    return isNothing ? done(output.notes.join("\n")) : failed(output)
  } finally {
    timer.cancel()
  }
}

/** Runs a command that marks lines as read: it does so only once the client has the answer. */
async function read(
  { context, signal, answer }: Place,
  command: (own: Context) => Promise<number>,
): Promise<{ output: Output; isAnswered: boolean }> {
  let isAnswered = false
  const flush = async (early: Output) => {
    isAnswered = true
    await answer(done(textOf(early)))
  }
  return {
    output: await capture({ ...context, contextDoor: "mcp" }, { json: false, signal, flush }, command),
    isAnswered,
  }
}

function textOf({ lines, notes }: Output): string {
  const text = lines.length === 0 ? ["nothing new"] : lines
  return [...text, ...notes.map((note) => `agentchat: ${note}`)].join("\n")
}

/** Returns the answer of a command that prints no texts of others. */
function own(output: Output): ToolResult {
  return output.status === 0 ? done(encode(documentOf(output))) : failed(output)
}

/** Returns the answer of a command that prints texts of others. */
function foreign(title: string, output: Output): ToolResult {
  if (output.status !== 0) return failed(output)
  return done(`${preface}\n${renderData(title, documentOf(output))}`)
}

function documentOf({ document, notes }: Output): Output["document"] {
  return notes.length === 0 ? document : { ...document, notes }
}

function done(text: string): ToolResult {
  return { text, isError: false }
}

function refused(text: string): ToolResult {
  return { text, isError: true }
}

function failed({ document }: Output): ToolResult {
  return refused(encode(document))
}
