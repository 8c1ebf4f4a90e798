import { appendFileSync, existsSync, linkSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { TakenDirectory } from "../../../../src/daemon/outbox/files/taken-directory.js"
import { temporaryDirectory } from "../../../kit/temporary.js"

const generation = "aaaaaaaaaa"

/** An outbox with a line in it, and the names of it. */
function place() {
  const root = temporaryDirectory()
  const paths = { outbox: join(root, "outbox.jsonl"), outboxTaken: join(root, "outbox.taken") }
  const names = new TakenDirectory(paths)
  names.ensure()
  writeFileSync(paths.outbox, "a\n")
  const textOf = (name: string) => readFileSync(names.pathOf(name), "utf8")
  const setAside = () => {
    names.moveOut(generation)
    expect([existsSync(paths.outbox), names.list(".out")]).toEqual([false, [generation]])
  }
  return { ...paths, names, textOf, setAside }
}

describe("the second names of an outbox", () => {
  it("are names of the same file: what is deleted or appended there is not lost here", () => {
    const { outbox, names, textOf } = place()
    expect(names.link(generation)).toBe(true)
    expect(statSync(names.pathOf(generation)).ino).toBe(statSync(outbox).ino)
    appendFileSync(outbox, "b\n")
    rmSync(outbox)
    expect(textOf(generation)).toBe("a\nb\n")
    expect(names.rename(generation, "bbbbbbbbbb")).toBe(true)
    expect([names.list(".jsonl"), names.rename(generation, "cccccccccc")]).toEqual([["bbbbbbbbbb"], false])
    names.remove("bbbbbbbbbb")
    names.remove("bbbbbbbbbb")
    expect(names.list(".jsonl")).toEqual([])
  })

  it("that are no generation are nobody's", () => {
    const { outboxTaken, names } = place()
    for (const name of ["x.jsonl", "d-aaaaaaaaaa.json", `${generation}.txt`])
      writeFileSync(join(outboxTaken, name), "")
    expect([names.list(".jsonl"), names.list(".out")]).toEqual([[], []])
  })

  it("stay, when the file is set aside that has one", () => {
    const { names, textOf, setAside } = place()
    names.link(generation)
    setAside()
    expect(names.finishMove(generation, () => false)).toBeUndefined()
    expect([names.list(".out"), names.list(".jsonl"), textOf(generation)]).toEqual([[], [generation], "a\n"])
  })

  it("are given to a file that had none, where there are no hard links", () => {
    const { names, textOf, setAside } = place()
    setAside()
    expect(names.finishMove(generation, () => true)).toBeUndefined()
    expect([names.list(".out"), textOf(generation)]).toEqual([[], "a\n"])
  })

  it("are new for what somebody else put there in that very moment, and the known file keeps its own", () => {
    const { outbox, names, textOf, setAside } = place()
    linkSync(outbox, names.pathOf(generation))
    rmSync(outbox)
    writeFileSync(outbox, "theirs\n")
    setAside()
    const other = names.finishMove(generation, () => true) ?? ""
    expect([textOf(generation), textOf(other)]).toEqual(["a\n", "theirs\n"])
    expect(names.list(".out")).toEqual([])
  })
})
