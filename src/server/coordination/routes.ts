import type { IncomingMessage, ServerResponse } from "node:http"
import type { Clock } from "../../base/clock.js"
import type { ChannelId } from "../../coordination/channel-id.js"
import { channelOf, parseChannelId } from "../../coordination/channel-id.js"
import { enforcements } from "../../coordination/concepts.js"
import {
  type ChannelRow,
  channelInput,
  type EventRow,
  eventInput,
  newestOf,
} from "../../coordination/event.js"
import { presenceOf } from "../../coordination/liveness.js"
import {
  type Format,
  formatOf,
  formatOnboarding,
  mediaTypes,
  onboardingOf,
} from "../../coordination/onboarding.js"
import type { Address, Channel } from "../../protocol/names.js"
import { object, oneOf, optional } from "../../protocol/schema.js"
import type { Services } from "../services.js"
import type { Origin } from "../sessions/origin.js"
import { type Answer, answerFor, commonHeaders, detail, ok, Refusal, send } from "./answers.js"
import { type Caller, identifyCaller } from "./callers.js"
import { booleanOf, ifMatchOf, keyOf, limitOf, parseBody, readBody, wholeOf } from "./requests.js"
import { streamEvents } from "./stream.js"

const root = "/agent-channel"

const enforceInput = object({ enforce: optional(oneOf(enforcements)) })

/** A request that was read, and its parts. */
interface Request {
  readonly message: IncomingMessage
  readonly query: URLSearchParams
  readonly body: string
  readonly caller: Caller
}

/** The channel and the view that a request is for. */
interface Target {
  readonly method: string
  /** Undefined for a malformed id too. */
  readonly id: ChannelId | undefined
  /** The path after the id; undefined if there is none. */
  readonly rest: string | undefined
}

type Handler = (request: Request, id: ChannelId | undefined) => Promise<Answer> | Answer

type RouteServices = Pick<
  Services,
  "coordination" | "backbone" | "grants" | "moderation" | "endedKeys" | "roster"
>

/** The options of the routes. */
interface RouteOptions {
  readonly clock: Clock
  /** Largest body, in bytes. */
  readonly bodyBytes: number
}

/** Reports whether a request is for {@link CoordinationRoutes}. */
export function isForChannels({ url = "" }: Pick<IncomingMessage, "url">): boolean {
  return new RegExp(`^${root}(?:[/?]|$)`).test(url)
}

/** The HTTP view of coordination channels: `/agent-channel` and everything below. */
export class CoordinationRoutes {
  readonly #services: RouteServices
  readonly #options: RouteOptions
  /** By method and the rest of the path after the id; `POST` and `GET` alone are those without an id. */
  readonly #routes: ReadonlyMap<string, Handler>

  constructor(services: RouteServices, options: RouteOptions) {
    this.#services = services
    this.#options = options
    this.#routes = new Map<string, Handler>([
      ["POST", (request) => this.#create(request)],
      ["GET", (request) => this.#listChannels(request)],
      ["GET /spec", (request, id) => this.#newest(request, id, "spec")],
      ["GET /state", (request, id) => this.#newest(request, id, "state")],
      ["GET /events", (request, id) => this.#list(request, id)],
      ["GET /presence", (request, id) => this.#presence(request, id)],
      ["POST /event", (request, id) => this.#append(request, id)],
      ["POST /close", (request, id) => this.#close(request, id)],
    ])
  }

  /** Answers a request. @param url - its path and query within the space @param origin - of the client */
  async handle(
    message: IncomingMessage,
    response: ServerResponse,
    url: string,
    origin: Origin,
  ): Promise<void> {
    const [path = "", search = ""] = url.split("?", 2)
    const query = new URLSearchParams(search)
    const format = formatOf(query.get("format"), message.headers.accept)
    try {
      const target = this.#resolve(message.method ?? "GET", path)
      const body = await readBody(message, this.#options.bodyBytes)
      const caller = await identifyCaller(message, { body, origin }, this.#services, this.#options.clock)
      await this.#answer(target, { message, query, body, caller }, format, response)
    } catch (error) {
      send(response, answerFor(error), format)
    }
  }

  async #answer({ method, id, rest }: Target, request: Request, format: Format, response: ServerResponse) {
    const handler = this.#routes.get(rest === undefined ? method : `${method} ${rest}`)
    if (handler !== undefined) send(response, await handler(request, id))
    else if (rest === "/events/stream") await this.#stream(request, id, response)
    else await this.#onboard(request, id, format, response)
  }

  async #stream(request: Request, id: ChannelId | undefined, response: ServerResponse): Promise<void> {
    const { message, query, caller } = request
    const found = await this.#read(request, id)
    const { coordination, grants } = this.#services
    const mayRead = () => grants.mayRead(caller, channelOf(found.id), true)
    const since = sinceOf(message, query) ?? found.events[0]?.id ?? 0
    streamEvents(message, response, since, {
      id: found.id,
      coordination,
      clock: this.#options.clock,
      mayRead,
    })
  }

  /** @throws {Refusal} 404 or 405 */
  #resolve(given: string, path: string): Target {
    const method = given === "HEAD" ? "GET" : given
    const [idText, ...parts] = path.slice(root.length + 1).split("/")
    if (path === root || path === `${root}/`) {
      if (!this.#routes.has(method)) throw methodRefused("GET, POST")
      return { method, id: undefined, rest: undefined }
    }
    const rest = parts.length === 0 ? "" : `/${parts.join("/")}`
    const allowed = ["GET", "POST"].filter((each) => this.#hasRoute(each, rest))
    if (allowed.length === 0) throw new Refusal(detail(404, "Not Found"))
    if (!allowed.includes(method)) throw methodRefused(allowed.join(", "))
    return { method, id: parseId(idText ?? ""), rest }
  }

  #hasRoute(method: string, rest: string): boolean {
    if (rest === "" || rest === "/events/stream") return method === "GET"
    return this.#routes.has(`${method} ${rest}`)
  }

  async #create({ body, caller }: Request): Promise<Answer> {
    const fields = parseBody(body, channelInput)
    const { enforce = "off" } = parseBody(body, enforceInput)
    this.#checkWrite(caller, channelOf("AA44"))
    const created_by = caller.isProven ? caller.id : (fields.created_by ?? "")
    return ok(await this.#services.coordination.create({ ...fields, created_by }, enforce, caller))
  }

  #listChannels({ query, caller }: Request): Answer {
    const { coordination, grants } = this.#services
    const limit = limitOf(query)
    const includesClosed = booleanOf(query, "include_closed", true)
    const mayList = (id: ChannelId, isOpen: boolean) =>
      (includesClosed || isOpen) && grants.mayRead(caller, channelOf(id), true)
    return ok(coordination.list(limit, mayList))
  }

  async #onboard(
    request: Request,
    id: ChannelId | undefined,
    format: Format,
    response: ServerResponse,
  ): Promise<void> {
    const { channel, events } = await this.#read(request, id)
    const auth = this.#services.grants.isClosed
      ? "every request needs Authorization: Bearer TOKEN, the one that this was read with"
      : "needs nothing; who signs its requests with a key of agentchat is shown as proven"
    const text = formatOnboarding(onboardingOf(channel, events, auth), format)
    response.writeHead(200, { ...commonHeaders, "Content-Type": mediaTypes[format] })
    response.end(request.message.method === "HEAD" ? undefined : text)
  }

  async #newest(request: Request, id: ChannelId | undefined, kind: string): Promise<Answer> {
    const event = newestOf((await this.#read(request, id)).events, kind)
    if (event === undefined) throw new Refusal(detail(404, `no ${kind} event yet`))
    return { ...ok(event.payload), headers: { ETag: `"${event.id}"` } }
  }

  async #list(request: Request, id: ChannelId | undefined): Promise<Answer> {
    const { query } = request
    const limit = limitOf(query)
    const kind = query.get("kind")
    const before = wholeOf(query, "before") ?? Infinity
    const after = wholeOf(query, "after") ?? -Infinity
    const { channel, events } = await this.#read(request, id)
    const matching = events.filter(
      (event) => (kind === null || event.kind === kind) && event.id < before && event.id > after,
    )
    const page = matching.slice(0, limit)
    const last = page.at(-1)
    if (last === undefined || matching.length === page.length) return ok(page)
    const next = new URLSearchParams(query)
    next.set("before", `${last.id}`)
    return { ...ok(page), headers: { Link: `<${channel.url}/events?${next.toString()}>; rel="next"` } }
  }

  async #presence(request: Request, id: ChannelId | undefined): Promise<Answer> {
    const { events } = await this.#read(request, id)
    return ok(presenceOf(events, this.#options.clock.now()))
  }

  async #append({ body, caller, message }: Request, id: ChannelId | undefined): Promise<Answer> {
    const { author, ...event } = parseBody(body, eventInput)
    const ifMatch = ifMatchOf(message.headers["if-match"])
    if (id === undefined) throw unknownChannel()
    this.#checkWrite(caller, channelOf(id))
    const known = caller.isProven ? caller.id : author
    if (author !== undefined && author !== known) {
      throw new Refusal(detail(403, `author: you are ${caller.id}; leave it out or name that`))
    }
    const idempotencyKey = message.headers["idempotency-key"]
    const key = caller.nonce ?? (typeof idempotencyKey === "string" ? keyOf(idempotencyKey) : undefined)
    const { coordination } = this.#services
    const added = await coordination.append(id, { ...event, author: known ?? "", key, ifMatch }, caller)
    if (added === undefined) throw unknownChannel()
    const { violations } = added
    return ok({ ...added.event, ...(violations.length > 0 && { violations }) })
  }

  async #close({ caller }: Request, id: ChannelId | undefined): Promise<Answer> {
    if (id === undefined) throw unknownChannel()
    this.#checkWrite(caller, channelOf(id))
    const row = await this.#services.coordination.end(id)
    if (row === undefined) throw unknownChannel()
    return ok(row)
  }

  /** @throws {Refusal} 404 for a channel that does not exist, or that the caller may not read */
  async #read(
    { caller }: Request,
    id: ChannelId | undefined,
  ): Promise<{ readonly id: ChannelId; readonly channel: ChannelRow; readonly events: readonly EventRow[] }> {
    const { coordination, grants } = this.#services
    const channel = id === undefined ? undefined : coordination.get(id)
    if (id === undefined || channel === undefined || !grants.mayRead(caller, channelOf(id), true))
      throw unknownChannel()
    return { id, channel, events: await coordination.events(id) }
  }

  /** @throws {Refusal} 404 for a channel that the caller may not read. @throws {ChatError} FORBIDDEN */
  #checkWrite(caller: Caller, channel: Channel): void {
    const { grants, moderation } = this.#services
    const message = { type: "MSG" as const, to: channel as string as Address, content: "" }
    const refusal =
      grants.refusal(caller, message, () => undefined) ??
      moderation.refusal({ ...caller, formerly: caller.formerly, role: undefined }, message, () => true)
    if (refusal === undefined) return
    throw grants.mayRead(caller, channel, true) ? refusal : unknownChannel()
  }
}

/** Returns the id of the event after which a stream begins. */
function sinceOf({ headers }: IncomingMessage, query: URLSearchParams): number | undefined {
  const last = Number(headers["last-event-id"])
  return Number.isSafeInteger(last) && last > 0 ? last : wholeOf(query, "after")
}

function methodRefused(allow: string): Refusal {
  return new Refusal({ ...detail(405, "Method Not Allowed"), headers: { Allow: allow } })
}

/** The same for an id that is malformed. */
function unknownChannel(): Refusal {
  return new Refusal(detail(404, "no such channel"))
}

function parseId(text: string): ChannelId | undefined {
  try {
    return parseChannelId(decodeURIComponent(text))
  } catch {
    return undefined
  }
}
