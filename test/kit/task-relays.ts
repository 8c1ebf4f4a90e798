import { setImmediate } from "node:timers/promises"
import type { Backbone, Table } from "../../src/backbone/backbone.js"
import { openMemoryBackbone } from "../../src/backbone/memory/memory-backbone.js"
import type { ClientMessage } from "../../src/protocol/client-messages.js"
import { ChatError } from "../../src/protocol/errors.js"
import { defaultLimits, type Limits } from "../../src/protocol/limits.js"
import type { AgentId, Nick, RoleRef } from "../../src/protocol/names.js"
import type { ServerMessage } from "../../src/protocol/server-messages.js"
import { formatMessagePrefix } from "../../src/server/delivery/message-json.js"
import type { SentAck } from "../../src/server/sessions/ack-table.js"
import type { Agent } from "../../src/server/sessions/agent.js"
import { DeliveredIds } from "../../src/server/sessions/delivered-ids.js"
import { TaskService } from "../../src/server/tasks/task-service.js"
import { FakeClock } from "./fake-clock.js"

/** Turns of the event loop after which everything has finished: a few per step of the longest chain. */
const turns = 6
/** The same for a slow store. */
const slowTurns = 40

/** A persistent agent, as a task service sees it. */
export class TestWorker {
  readonly id: AgentId
  readonly name: Nick
  readonly isPersistent = true
  readonly origin = "loopback"
  readonly messagePrefix: string
  readonly memory = { delivered: new DeliveredIds() }
  role: string | undefined
  status = "idle"
  /** All messages it received. */
  readonly inbox: ServerMessage[] = []

  constructor(digit: number, role?: string) {
    this.id = `@${String(digit).padStart(16, "0")}` as AgentId
    this.name = `worker-${digit}` as Nick
    this.messagePrefix = formatMessagePrefix(this.id, this.name)
    this.role = role
  }

  send(message: ServerMessage): void {
    this.inbox.push(message)
  }

  /** The worker as an agent; task services use no other fields. */
  get agent(): Agent {
    return this as unknown as Agent
  }

  /** The TASK messages it received, oldest first. */
  get tasks(): ServerMessage<"TASK">[] {
    return this.inbox.filter((message) => message.type === "TASK")
  }

  get taskIds(): string[] {
    return this.tasks.map(({ task }) => task)
  }
}

/** An answer to a task, in the fields that tests look at. */
export interface Answer {
  readonly from: string
  readonly to: string
  readonly content: string
  readonly in_reply_to: string
  readonly kind: string
}

/** The task services of several relays that share a store, and what they sent. */
export class TaskRelays {
  readonly clock: FakeClock
  readonly all: readonly TaskService[]
  /** The task of each answer sent, repeated answers included. */
  readonly answersSent: string[] = []
  /** The answer to each task, as a mailbox keeps it. */
  readonly answers = new Map<string, Answer>()
  readonly deliveries: { readonly to: AgentId; readonly delivery: ServerMessage<"DELIVERY"> }[] = []
  readonly log: string[] = []
  /** If set, sending an answer fails with this error. */
  answerFault: Error | undefined
  readonly #turns: number
  readonly #notices = new Set<string>()
  #messages = 0

  private constructor(clock: FakeClock, services: TaskService[], turns: number) {
    this.clock = clock
    this.all = services
    this.#turns = turns
  }

  static async open(
    options: {
      readonly count?: number
      readonly limits?: Partial<Limits>
      /** Delays each service's access to the store, differently for each. */
      readonly isSlow?: boolean
      /** Wraps the table that a service uses. */
      readonly table?: (table: Table) => Table
    } = {},
  ): Promise<TaskRelays> {
    const { isSlow = false, table = (shared: Table): Table => shared } = options
    const clock = new FakeClock()
    const backbone = await openMemoryBackbone({ clock })
    const services: TaskService[] = []
    const relays = new TaskRelays(clock, services, isSlow ? slowTurns : turns)
    const limits = { ...defaultLimits, ...options.limits }
    for (let i = 0; i < (options.count ?? 1); i++) {
      const service = await TaskService.open(
        await viewOf(backbone, (shared) => (isSlow ? slowTable(table(shared), i + 1) : table(shared))),
        {
          limits,
          clock,
          log: (line) => relays.log.push(line),
          delivery: {
            answer: (task, text) => relays.#takeAnswer(task, text),
            notify: (to, entryId, notice) => relays.#takeNotice(to, entryId, notice),
          },
          guards: { refill: () => {} },
        },
      )
      services.push(service)
    }
    return relays
  }

  get first(): TaskService {
    const [first] = this.all
    if (first === undefined) throw new Error("there is no relay")
    return first
  }

  /** Sends a task and waits until it is accepted. @returns its id */
  async ask(
    asker: TestWorker,
    role: string,
    content = "look at this",
    service = this.first,
  ): Promise<string> {
    const { id } = await this.askFor(asker, role, content, service)
    return id
  }

  async askFor(
    asker: TestWorker,
    role: string,
    content = "look at this",
    service = this.first,
  ): Promise<{ id: string; receipt: SentAck }> {
    const id = `${asker.id.slice(1)}.m${this.#messages++}`
    return { id, receipt: await service.push(asker.agent, requestFor(role, content), id) }
  }

  /** Returns the message that {@link ask} sends, to be sent again. */
  request(role: string): ClientMessage<"MSG"> {
    return requestFor(role, "look at this")
  }

  /** Waits until everything has finished that needs no timer. */
  async settle(): Promise<void> {
    for (let i = 0; i < this.#turns; i++) await setImmediate()
  }

  async advance(ms: number): Promise<void> {
    this.clock.advance(ms)
    await this.settle()
  }

  /** Returns the states reported of a task, in order. */
  statesOf(id: string): string[] {
    return this.deliveries
      .filter(({ delivery }) => delivery.msg_id === id)
      .map(({ delivery }) => delivery.state)
  }

  #takeAnswer(task: string, text: string): Promise<void> {
    const fault = this.answerFault
    // A full mailbox accepts an answer that it has already.
    const isKnown = fault instanceof ChatError && fault.code === "MAILBOX_FULL" && this.answers.has(task)
    if (fault !== undefined && !isKnown) return Promise.reject(fault)
    this.answersSent.push(task)
    if (!this.answers.has(task)) {
      const { from, to, content, in_reply_to, kind } = JSON.parse(text) as Answer
      this.answers.set(task, { from, to, content, in_reply_to, kind })
    }
    return Promise.resolve()
  }

  /** Like a mailbox, takes a stage once, however many relays report it. */
  #takeNotice(to: AgentId, entryId: string, notice: ServerMessage<"DELIVERY" | "INVITE">): Promise<void> {
    if (notice.type === "DELIVERY" && !this.#notices.has(entryId)) {
      this.#notices.add(entryId)
      this.deliveries.push({ to, delivery: notice })
    }
    return Promise.resolve()
  }
}

/** Makes a message to a role. */
function requestFor(role: string, content: string): ClientMessage<"MSG"> {
  return { type: "MSG", to: `+${role}` as RoleRef, content }
}

async function viewOf(
  backbone: Backbone,
  change: (table: Table) => Table,
): Promise<Pick<Backbone, "id" | "table" | "logs">> {
  const table = change(await backbone.table("task"))
  const { id } = backbone
  return { id, table: () => Promise.resolve(table), logs: (...options) => backbone.logs(...options) }
}

/** Delays every call, result and change of a table by a few turns of the event loop, in order. */
function slowTable(table: Table, delay: number): Table {
  const pass = async () => {
    for (let i = 0; i < delay; i++) await setImmediate()
  }
  async function slowly<T>(act: () => Promise<T>): Promise<T> {
    await pass()
    const value = await act()
    await pass()
    return value
  }
  return {
    get: (key) => slowly(() => table.get(key)),
    put: (key, value, expected) => slowly(() => table.put(key, value, expected)),
    delete: (key, expected) => slowly(() => table.delete(key, expected)),
    rows: () => slowly(() => table.rows()),
    watch: (listener) =>
      table.watch((change) => {
        void pass().then(() => listener(change))
      }),
  }
}
