import { appendFileSync, existsSync, readdirSync, readFileSync, statSync } from "node:fs"
import type { InboxRecord, Workspace } from "./program.js"
import { isGivenBack, nameOf, roleOf, type StormLine } from "./storm-plan.js"

/** A line of acks.jsonl or rejected.jsonl. */
export interface OutcomeLine {
  readonly id: string | null
  readonly msg_id?: string
  readonly state?: string
  readonly by?: string
  readonly code?: string
  readonly evidence?: Readonly<Record<string, unknown>>
}

/** The DONE or FAIL of a worker. */
export interface Ending {
  readonly id: string
  readonly type: "DONE" | "FAIL"
  readonly task: string
  readonly content: string
}

/** The files of one agent. */
export interface Evidence {
  readonly id: string
  readonly name: string
  readonly role: string
  readonly written: readonly StormLine[]
  readonly endings: readonly Ending[]
  readonly acks: readonly OutcomeLine[]
  readonly rejected: readonly OutcomeLine[]
  readonly inbox: readonly InboxRecord[]
}

/** An agent of the storm: writes its script and works on tasks. It uses only the files of its daemon. */
export class StormAgent {
  readonly name: string
  readonly role: string
  readonly relay: number
  readonly workspace: Workspace
  /** Agent ids by name. */
  readonly #ids: ReadonlyMap<string, string>
  readonly #script: readonly StormLine[]
  readonly #endings: Ending[] = []
  readonly #seen = new Set<number>()
  readonly #segments = new Set<string>()
  readonly #settled = new Set<string>()
  #written = 0
  #inboxAt = ""

  constructor(
    index: number,
    place: { workspace: Workspace; relay: number; roles: number },
    script: readonly StormLine[],
    ids: ReadonlyMap<string, string>,
  ) {
    this.name = nameOf(index)
    this.role = roleOf(index, place.roles)
    this.relay = place.relay
    this.workspace = place.workspace
    this.#script = script
    this.#ids = ids
  }

  /** Number of lines that were accepted or rejected. */
  get settled(): number {
    return this.#settled.size
  }

  get isThrough(): boolean {
    return this.#settled.size === this.#script.length
  }

  append(line: object): void {
    appendFileSync(this.workspace.file(this.name, "outbox.jsonl"), `${JSON.stringify(line)}\n`)
  }

  /** Reads new lines, answers tasks, and writes more lines while fewer than `window` have no outcome. */
  step(window: number): void {
    for (const { id } of [...this.#outcomes("acks.jsonl"), ...this.#outcomes("rejected.jsonl")]) {
      if (id !== null && /^s\d+-\d+$/.test(id)) this.#settled.add(id)
    }
    for (const line of this.#newLines()) if (line.type === "TASK") this.#work(line)
    while (this.#written < this.#script.length && this.#written - this.#settled.size < window) this.#write()
  }

  gather(): Evidence {
    return {
      id: this.#ids.get(this.name) ?? "",
      name: this.name,
      role: this.role,
      written: this.#script.slice(0, this.#written),
      endings: this.#endings,
      acks: this.#outcomes("acks.jsonl"),
      rejected: this.#outcomes("rejected.jsonl"),
      inbox: this.workspace.inbox(this.name),
    }
  }

  #write(): void {
    const line = this.#script[this.#written++]
    if (line === undefined) return
    const { id, to } = line
    this.append({ id, to: this.#ids.get(to) ?? to, content: id })
  }

  #work(line: InboxRecord): void {
    const task = String(line["task"])
    const attempt = Number(line["attempt"])
    const type = isGivenBack(task, attempt) ? "FAIL" : "DONE"
    const id = `${type}-${attempt}-${task.slice(task.indexOf(".") + 1)}`
    const content = `${this.name} did ${String(line["content"])}`
    this.#endings.push({ id, type, task, content })
    this.append({ id, type, task, ...(type === "DONE" ? { content } : { reason: "not now" }) })
  }

  #outcomes(file: string): OutcomeLine[] {
    const path = this.workspace.file(this.name, file)
    return wholeLines(path).map((line) => JSON.parse(line) as OutcomeLine)
  }

  /** Returns the new lines of the inbox and its closed segments. */
  #newLines(): InboxRecord[] {
    const folder = this.workspace.file(this.name, "inbox")
    const fresh: InboxRecord[] = []
    for (const entry of existsSync(folder) ? readdirSync(folder) : []) {
      if (!entry.endsWith(".jsonl") || this.#segments.has(entry)) continue
      this.#segments.add(entry)
      fresh.push(...this.#unseen(`${folder}/${entry}`))
    }
    const path = this.workspace.file(this.name, "inbox.jsonl")
    if (!existsSync(path)) return fresh
    const { size, mtimeMs } = statSync(path)
    const at = `${size} ${mtimeMs}`
    if (at === this.#inboxAt) return fresh
    this.#inboxAt = at
    return [...fresh, ...this.#unseen(path)]
  }

  #unseen(path: string): InboxRecord[] {
    const records = wholeLines(path)
      .filter((line) => line.includes('"type":"TASK"'))
      .map((line) => JSON.parse(line) as InboxRecord)
      .filter(({ seq }) => !this.#seen.has(seq))
    for (const { seq } of records) this.#seen.add(seq)
    return records
  }
}

function wholeLines(path: string): string[] {
  if (!existsSync(path)) return []
  const text = readFileSync(path, "utf8")
  return text
    .slice(0, text.lastIndexOf("\n") + 1)
    .split("\n")
    .filter((line) => line !== "")
}
