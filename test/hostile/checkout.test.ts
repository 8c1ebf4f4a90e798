import { execFileSync } from "node:child_process"
import {
  chmodSync,
  chownSync,
  linkSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs"
import { dirname, join } from "node:path"
import { describe, expect, it } from "vitest"
import { openPlain, readIfExists } from "../../src/base/files.js"
import { checkOutboxLinks, ensureDirectory, ensureHome, openHome } from "../../src/daemon/files/home.js"
import { rootPaths } from "../../src/daemon/files/paths.js"
import { ReaderCursor } from "../../src/daemon/inbox/reader-cursor.js"
import { readStatus } from "../../src/daemon/status.js"
import type { InstanceName } from "../../src/protocol/names.js"
import { CommandRoom } from "../kit/command-room.js"
import { isRoot } from "../kit/file-system.js"
import { temporaryDirectory } from "../kit/temporary.js"

const uid = process.getuid?.() ?? 0
const name = "default" as InstanceName

/** Makes a home with all directories of a daemon and no files, as a checkout may bring it. */
function checkout(dir = temporaryDirectory()) {
  const root = rootPaths(join(dir, ".agentchat"))
  const paths = root.instance(name)
  mkdirSync(paths.dir, { recursive: true, mode: 0o755 })
  const { segments, outboxTaken, outboxDrop, rejectedDir, cursors } = paths
  const inner = [
    segments,
    outboxTaken,
    outboxDrop,
    rejectedDir,
    cursors,
    root.people,
    root.relayData,
    root.sessions,
  ]
  for (const path of inner) mkdirSync(path, { mode: 0o755 })
  const victim = join(dir, "victim")
  writeFileSync(victim, "precious\n")
  const directories = [...inner, root.daemons, paths.dir, root.root]
  return { dir, root, paths, victim, directories, open: () => openHome(root.root, uid).instance(name) }
}

/** Returns every path in a set of paths that is not a directory. */
function filesOf(paths: object, directories: readonly string[]): string[] {
  return Object.values(paths).filter(
    (path): path is string => typeof path === "string" && path.startsWith("/") && !directories.includes(path),
  )
}

function replaceBy(path: string, make: (path: string) => void, check: () => void): void {
  make(path)
  check()
  rmSync(path)
}

function git(dir: string, ...args: string[]): void {
  const person = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
  execFileSync("git", [...person, ...args], { cwd: dir, stdio: "ignore" })
}

describe("a checkout with an .agentchat of its own", () => {
  it("is refused for a symbolic link or a pipe in place of any file of the home or of a daemon", () => {
    const { root, paths, victim, directories, open } = checkout()
    const inside = [
      paths.segments,
      paths.outboxTaken,
      paths.rejectedDir,
      paths.cursors,
      root.people,
      root.sessions,
    ]
    const files = [
      ...filesOf(root, directories),
      ...filesOf(paths, directories),
      ...[...inside, root.relayData].map((dir) => join(dir, "entry")),
    ]
    expect(files.length).toBeGreaterThan(25)
    for (const path of new Set(files)) {
      const isRefused = (kind: string) =>
        expect(open, path).toThrow(
          expect.objectContaining({ code: "FILE_FAILED", message: `${path}: is ${kind}, not a plain file` }),
        )
      replaceBy(
        path,
        (link) => symlinkSync(victim, link),
        () => isRefused("a symbolic link"),
      )
      replaceBy(
        path,
        (link) => symlinkSync("/dev/zero", link),
        () => isRefused("a symbolic link"),
      )
      replaceBy(
        path,
        (link) => symlinkSync("nowhere", link),
        () => isRefused("a symbolic link"),
      )
    }
    replaceBy(
      paths.status,
      (path) => execFileSync("mkfifo", [path]),
      () => expect(open).toThrow("status.json: is a pipe, not a plain file"),
    )
    expect(open().dir).toBe(paths.dir)
    expect(readFileSync(victim, "utf8")).toBe("precious\n")
  })

  it("is refused for a link, or a file, in place of any directory", () => {
    for (const index of checkout().directories.keys()) {
      const { dir, directories, open } = checkout()
      const path = directories[index] ?? ""
      rmSync(path, { recursive: true })
      symlinkSync(temporaryDirectory(), path)
      expect(open).toThrow(`${path}: is a symbolic link, not a directory`)
      rmSync(path)
      writeFileSync(path, "")
      expect(open).toThrow(`${path}: is a file, not a directory`)
      rmSync(dir, { recursive: true })
    }
  })

  it("is refused for a second hard link of a file that lines are appended to", () => {
    const { root, paths, victim, open } = checkout()
    for (const path of [paths.inbox, paths.acks, paths.rejected, paths.proposals, paths.log, root.receipts]) {
      replaceBy(
        path,
        (link) => linkSync(victim, link),
        () => expect(open).toThrow(`${path}: has another hard link`),
      )
    }
    linkSync(victim, paths.outbox)
    expect(() => checkOutboxLinks(open())).toThrow(`${paths.outbox}: has another hard link`)
    rmSync(paths.outbox)
    writeFileSync(paths.outbox, "")
    linkSync(paths.outbox, join(paths.outboxTaken, "0123456789.jsonl"))
    checkOutboxLinks(open())
  })

  it("is refused for a directory that others may write, but not for a group of the user alone", () => {
    const { directories, open } = checkout()
    for (const path of directories) {
      chmodSync(path, 0o777)
      expect(open).toThrow(
        expect.objectContaining({ message: `${path}: may be written by others`, hint: `chmod go-w ${path}` }),
      )
      // As umask 002 makes it, where each user has a group of the same number.
      chmodSync(path, 0o775)
      if (statSync(path).gid === uid) open()
      else expect(open).toThrow("may be written by others")
    }
  })

  it.runIf(isRoot())(
    "is refused for a directory of another user, or one that another group may write",
    () => {
      const { directories, open } = checkout()
      for (const path of directories) {
        chownSync(path, uid + 1, 0)
        expect(open).toThrow(`${path}: belongs to user ${uid + 1}, not to you`)
        chownSync(path, uid, 12_345)
        chmodSync(path, 0o775)
        expect(open).toThrow(`${path}: may be written by others`)
        chmodSync(path, 0o755)
        open()
      }
    },
  )

  it("is used behind a symbolic link above it, and by a name that the user gave", async () => {
    const room = new CommandRoom()
    symlinkSync(room.dir, join(room.dir, "project"))
    symlinkSync(room.home, join(room.dir, "link"))
    expect((await room.run(["daemon", "--list", "--home", "project/.agentchat"])).status).toBe(0)
    expect((await room.run(["daemon", "--list", "--home", "link"])).status).toBe(0)
  })

  it("is refused by commands that only read", async () => {
    const room = new CommandRoom()
    mkdirSync(join(room.home, "daemons/default"), { recursive: true, mode: 0o755 })
    symlinkSync("/dev/zero", join(room.home, "daemons/default/inbox.jsonl"))
    for (const args of [["inbox"], ["status"], ["daemon"], ["send", "#general", "hi"], ["guard"], ["down"]]) {
      const { status, err } = await room.run(args)
      expect({ args, status }).toEqual({ args, status: 1 })
      expect(err).toContain("inbox.jsonl: is a symbolic link, not a plain file")
    }
  })
})

describe("a home that a git repository contains", () => {
  const room = () => {
    const made = new CommandRoom()
    git(made.dir, "init", "-q")
    return made
  }

  it("is refused, and used again once git does not track it", async () => {
    const { dir, home, run } = bound(room())
    writeFileSync(join(home, "outbox.jsonl"), "")
    writeFileSync(join(dir, ".a"), "")
    git(dir, "add", ".")
    const { status, err } = await run(["daemon", "--list"])
    expect(status).toBe(1)
    expect(err).toContain(`${home}: its outbox.jsonl is in a git repository`)
    git(dir, "update-index", "--index-version", "4")
    expect((await run(["inbox"])).err).toContain("is in a git repository")
    git(dir, "rm", "-rq", "--cached", home)
    expect((await run(["daemon", "--list"])).status).toBe(0)
  })

  it("is refused in a subdirectory, a work tree and a repository with long hashes", () => {
    const outer = temporaryDirectory()
    git(outer, "init", "-q", "--object-format=sha256", "repository")
    const repository = join(outer, "repository")
    const { root } = checkout(join(repository, "deep/er"))
    writeFileSync(root.gitignore, "")
    writeFileSync(join(repository, "before"), "")
    git(repository, "add", "-f", ".")
    git(repository, "commit", "-qm", "x")
    expect(() => openHome(root.root, uid)).toThrow("its .gitignore is in a git repository")
    git(repository, "worktree", "add", "-q", "../tree")
    expect(() => openHome(join(outer, "tree/deep/er/.agentchat"), uid)).toThrow("is in a git repository")
    symlinkSync(join(outer, "tree/deep/er"), join(outer, "link"))
    expect(() => openHome(join(outer, "link/.agentchat"), uid)).toThrow("is in a git repository")
  })

  it("is used in a repository that tracks only other files, and that runs programs for git", async () => {
    const { dir, run, home } = bound(room())
    const witness = join(dir, "witness")
    git(dir, "config", "core.fsmonitor", `touch ${witness}; false`)
    for (const file of [".agentchat.md", "agentchat", "z"]) writeFileSync(join(dir, file), "")
    ensureHome(rootPaths(home))
    execFileSync("git", ["-c", "core.fsmonitor=", "add", "."], { cwd: dir, stdio: "ignore" })
    expect((await run(["daemon", "--list"])).status).toBe(0)
    expect(readIfExists(witness)).toBeUndefined()
    for (const damaged of ["", "DIRC", "DIRC\0\0\0\x02\xff\xff\xff\xff"]) {
      writeFileSync(join(dir, ".git/index"), Buffer.from(damaged, "latin1"))
      expect((await run(["daemon", "--list"])).status).toBe(0)
    }
  })

  function bound(made: CommandRoom) {
    return { dir: made.dir, home: made.home, run: made.run.bind(made) }
  }
})

describe("a file of a home that is replaced while a daemon runs", () => {
  it("is not read or written through a link, and not waited for if it is a pipe", () => {
    const { dir, paths, victim } = checkout()
    symlinkSync(victim, paths.inbox)
    expect(() => openPlain(paths.inbox)).toThrow(expect.objectContaining({ code: "ELOOP" }))
    execFileSync("mkfifo", [paths.status])
    expect(readStatus(paths.status)).toBeUndefined()
    expect(() => openPlain(paths.status)).toThrow(expect.objectContaining({ code: "EFTYPE" }))
    expect(() => openPlain(dir)).toThrow(expect.objectContaining({ code: "EISDIR" }))
    rmSync(paths.cursors, { recursive: true })
    symlinkSync(dirname(victim), paths.cursors)
    expect(() => ensureDirectory(paths.cursors)).toThrow(expect.objectContaining({ code: "EEXIST" }))
    expect(() => ReaderCursor.open(paths, "x").confirm(3)).toThrow(
      expect.objectContaining({ code: "FILE_FAILED" }),
    )
    expect(readIfExists(join(dirname(victim), "x.json"))).toBeUndefined()
    expect(readFileSync(victim, "utf8")).toBe("precious\n")
  })

  it("is not read if it is larger than any such file", () => {
    const { paths } = checkout()
    const cursor = join(paths.cursors, "x.json")
    for (const path of [cursor, paths.status]) {
      writeFileSync(path, "")
      truncateSync(path, 3 * 1024 ** 3)
    }
    expect(() => ReaderCursor.open(paths, "x")).toThrow("x.json: the file is too large (EFBIG)")
    expect(readStatus(paths.status)).toBeUndefined()
  })

  it("gets a .gitignore that only its owner may change, and that no link leads elsewhere", () => {
    const old = process.umask(0)
    try {
      const { root, dir } = checkout()
      ensureHome(root)
      expect(statSync(root.gitignore).mode & 0o777).toBe(0o600)
      rmSync(root.gitignore)
      symlinkSync(join(dir, "created"), root.gitignore)
      ensureHome(root)
      expect(readIfExists(join(dir, "created"))).toBeUndefined()
    } finally {
      process.umask(old)
    }
  })
})
