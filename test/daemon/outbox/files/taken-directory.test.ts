import { appendFileSync, existsSync, linkSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { TakenDirectory } from "../../../../src/daemon/outbox/files/taken-directory.js"
import { temporaryDirectory } from "../../../kit/temporary.js"

const generation = "aaaaaaaaaa"

/** Creates an outbox with one line, and its outbox.taken. */
function place() {
  const root = temporaryDirectory()
  const paths = { outbox: join(root, "outbox.jsonl"), outboxTaken: join(root, "outbox.taken") }
  const taken = new TakenDirectory(paths)
  taken.ensure()
  writeFileSync(paths.outbox, "a\n")
  const textOf = (name: string) => readFileSync(taken.pathOf(name), "utf8")
  const moveOut = () => {
    taken.moveOut(generation)
    expect([existsSync(paths.outbox), taken.list(".out")]).toEqual([false, [generation]])
  }
  return { ...paths, taken, textOf, moveOut }
}

describe("TakenDirectory", () => {
  it("links the same file, which a deleted outbox.jsonl does not lose", () => {
    const { outbox, taken, textOf } = place()
    expect(taken.link(generation)).toBe(true)
    expect(statSync(taken.pathOf(generation)).ino).toBe(statSync(outbox).ino)
    appendFileSync(outbox, "b\n")
    rmSync(outbox)
    expect(textOf(generation)).toBe("a\nb\n")
    expect(taken.rename(generation, "bbbbbbbbbb")).toBe(true)
    expect([taken.list(".jsonl"), taken.rename(generation, "cccccccccc")]).toEqual([["bbbbbbbbbb"], false])
    taken.remove("bbbbbbbbbb")
    taken.remove("bbbbbbbbbb")
    expect(taken.list(".jsonl")).toEqual([])
  })

  it("lists only names that are generations", () => {
    const { outboxTaken, taken } = place()
    for (const name of ["x.jsonl", "d-aaaaaaaaaa.json", `${generation}.txt`])
      writeFileSync(join(outboxTaken, name), "")
    expect([taken.list(".jsonl"), taken.list(".out")]).toEqual([[], []])
  })

  it("keeps the link of a file that is moved away", () => {
    const { taken, textOf, moveOut } = place()
    taken.link(generation)
    moveOut()
    expect(taken.finishMove(generation, () => false)).toBeUndefined()
    expect([taken.list(".out"), taken.list(".jsonl"), textOf(generation)]).toEqual([[], [generation], "a\n"])
  })

  it("gives a moved file the generation's name where there are no hard links", () => {
    const { taken, textOf, moveOut } = place()
    moveOut()
    expect(taken.finishMove(generation, () => true)).toBeUndefined()
    expect([taken.list(".out"), textOf(generation)]).toEqual([[], "a\n"])
  })

  it("gives a file that replaced outbox.jsonl before the move a generation of its own", () => {
    const { outbox, taken, textOf, moveOut } = place()
    linkSync(outbox, taken.pathOf(generation))
    rmSync(outbox)
    writeFileSync(outbox, "theirs\n")
    moveOut()
    const other = taken.finishMove(generation, () => true) ?? ""
    expect([textOf(generation), textOf(other)]).toEqual(["a\n", "theirs\n"])
    expect(taken.list(".out")).toEqual([])
  })
})
