import { chmodSync, existsSync, mkdirSync, writeFileSync } from "node:fs"
import { basename, join } from "node:path"
import { describe, expect, it } from "vitest"
import { findRepository, nameOf, pathIn } from "../../../src/daemon/claims/repository.js"
import { temporaryDirectory } from "../../kit/temporary.js"

function checkout(config: string): string {
  const root = temporaryDirectory()
  mkdirSync(join(root, ".git"))
  mkdirSync(join(root, "src/deep"), { recursive: true })
  writeFileSync(join(root, ".git/HEAD"), "ref: refs/heads/main\n")
  writeFileSync(join(root, ".git/config"), config)
  return root
}

describe("the name of a repository", () => {
  it.each([
    ["https://github.com/Acme/Shop.git", "github.com/acme/shop"],
    ["https://user:secret@github.com/acme/shop", "github.com/acme/shop"],
    ["git@github.com:acme/shop.git", "github.com/acme/shop"],
    ["ssh://git@github.com:22/acme/shop.git/", "github.com/acme/shop"],
    ["git://example.org/~ann/x.git", "example.org/~ann/x"],
    ["/srv/git/shop.git", "shop"],
    ["file:///srv/git/shop.git", "shop"],
    ["../shop/.git", "shop"],
    ["C:\\work\\shop", "c-work-shop"],
    ["My Project", "my-project"],
    ["https://evil/\u001b[31m/../../x", "evil/-31m/x"],
    ["", undefined],
    ["...", undefined],
  ])("of %j is %s", (remote, name) => {
    expect(nameOf(remote)).toBe(name)
  })

  it("is that of origin, from any directory of the checkout", () => {
    const root = checkout(
      '[core]\n\tbare = false\n[remote "fork"]\n\turl = git@x.org:f/f.git\n[remote "origin"]\n\turl = https://t:k@x.org/a/b.git\n',
    )
    expect(findRepository(join(root, "src/deep"))).toEqual({ root, name: "x.org/a/b" })
  })

  it("is that of the main checkout in a worktree", () => {
    const root = checkout('[remote "origin"]\n\turl = https://x.org/a/b.git\n')
    const own = join(root, ".git/worktrees/w")
    mkdirSync(own, { recursive: true })
    writeFileSync(join(own, "commondir"), "../..\n")
    const worktree = temporaryDirectory()
    writeFileSync(join(worktree, ".git"), `gitdir: ${own}\n`)
    expect(findRepository(worktree)).toEqual({ root: worktree, name: "x.org/a/b" })
  })

  it("is that of the directory without a remote", () => {
    const root = checkout("[core]\n")
    expect(findRepository(root).root).toBe(root)
    // A directory above may be a checkout.
    const plain = findRepository(temporaryDirectory())
    expect(plain.name).toBe(nameOf(basename(plain.root)))
  })

  it("is found without running anything that a checkout names", () => {
    const root = checkout("")
    const trap = join(root, "trap.sh")
    writeFileSync(trap, `#!/bin/sh\ntouch ${root}/fell\n`)
    chmodSync(trap, 0o755)
    writeFileSync(
      join(root, ".git/config"),
      `[core]\n\tfsmonitor = ${trap}\n\tsshCommand = ${trap}\n[remote "origin"]\n\turl = ext::${trap}\n`,
    )
    findRepository(join(root, "src"))
    expect(existsSync(join(root, "fell"))).toBe(false)
  })
})

describe("a path in a repository", () => {
  it("is taken from its root; a directory means all that is in it", () => {
    const root = checkout("")
    const repository = { root, name: "x" }
    const of = (path: string) => pathIn(repository, path)
    expect(of(join(root, "src/a.ts"))).toBe("src/a.ts")
    expect(of(join(root, "src"))).toBe("src/**")
    expect(of(`${root}/new/`)).toBe("new/**")
    expect(of(root)).toBe("**")
    expect(of(join(root, "src/**/*.ts"))).toBe("src/**/*.ts")
    expect(of(join(root, "e\u0301"))).toBe("\u00e9")
    expect(of(join(root, "../other"))).toBeUndefined()
    expect(of("/etc/passwd")).toBeUndefined()
  })
})
