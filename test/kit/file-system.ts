import { spawnSync } from "node:child_process"
import { chmodSync, closeSync, mkdirSync, openSync, rmSync, writeSync } from "node:fs"
import { join } from "node:path"
import { onTestFinished } from "vitest"
import { hasAbility } from "./requires.js"
import { temporaryDirectory } from "./temporary.js"

/** Reports whether this process may mount file systems and act as another user. */
export function isRoot(): boolean {
  return hasAbility("root and mount", () => process.getuid?.() === 0 && mount("--version"))
}

/** A small mounted file system that a test can fill and make read-only. */
export class SmallDisk {
  readonly path: string

  /** @param bytes - its capacity */
  constructor(bytes: number) {
    this.path = join(temporaryDirectory(), "disk")
    mkdirSync(this.path)
    if (!mount("-t", "tmpfs", "-o", `size=${bytes}`, "tmpfs", this.path))
      throw new Error("cannot mount a tmpfs")
    onTestFinished(() => void spawnSync("umount", ["--lazy", this.path]))
  }

  /** Fills the file system completely. */
  fill(): void {
    const fd = openSync(join(this.path, "ballast"), "a")
    try {
      for (const bytes of [Buffer.alloc(4096), Buffer.alloc(1)]) {
        while (writeSync(fd, bytes) > 0);
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error
    } finally {
      closeSync(fd)
    }
  }

  /** Frees the space that {@link fill} took. */
  free(): void {
    rmSync(join(this.path, "ballast"), { force: true })
  }

  setReadOnly(isReadOnly: boolean): void {
    if (!mount("-o", `remount,${isReadOnly ? "ro" : "rw"}`, this.path)) throw new Error("cannot remount")
  }
}

/** Makes a directory read-only for everybody who opens files in it from now on. @returns a function that undoes it */
export function makeReadOnly(dir: string): () => void {
  if (!mount("--bind", dir, dir)) throw new Error("cannot mount")
  const undo = () => void spawnSync("umount", ["--lazy", dir])
  onTestFinished(undo)
  if (!mount("-o", "remount,bind,ro", dir)) throw new Error("cannot remount")
  return undo
}

/** Runs `act` with the rights of an ordinary user, who owns `dir`. */
export function asNobody<T>(dir: string, act: () => T): T {
  const nobody = 65_534
  spawnSync("chown", ["-R", `${nobody}:${nobody}`, dir])
  chmodSync(dir, 0o700)
  process.setegid?.(nobody)
  process.seteuid?.(nobody)
  try {
    return act()
  } finally {
    process.seteuid?.(0)
    process.setegid?.(0)
  }
}

function mount(...args: string[]): boolean {
  return spawnSync("mount", args, { stdio: "ignore" }).status === 0
}
