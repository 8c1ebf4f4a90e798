import { createHash } from "node:crypto"
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs"
import { createRequire } from "node:module"
import { dirname, join, relative, resolve } from "node:path"

const project = resolve(import.meta.dirname, "../..")
// Inside the project, so that packages resolve.
const cache = join(project, "node_modules/.cache/agentchat-test")
const relativeImport = /(?:from|import)\s*\(?"(\.[^"]+)\.js"/g
const dayMs = 86_400_000

/**
 * Translates a TypeScript program and what it imports to JavaScript, so that a test can start it with plain Node and
 * kill it. Types are not checked. The same sources are translated once.
 * @param entry - path below the project, such as `test/kit/inbox-child.ts`
 * @returns path of the JavaScript file
 */
export function compiled(entry: string): string {
  const texts = readSources(join(project, entry))
  const hash = createHash("sha256")
    .update(JSON.stringify([...texts]))
    .digest("hex")
  const out = join(cache, hash.slice(0, 16))
  if (!existsSync(out)) translate(texts, out)
  return join(out, entry.replace(/\.ts$/, ".js"))
}

/** Returns the texts of a file and of all it imports, by path. */
function readSources(entry: string): Map<string, string> {
  const texts = new Map([[entry, readFileSync(entry, "utf8")]])
  // The map grows during the loop.
  for (const [source, text] of texts) {
    for (const [, path] of text.matchAll(relativeImport)) {
      const imported = resolve(dirname(source), `${path}.ts`)
      if (!texts.has(imported)) texts.set(imported, readFileSync(imported, "utf8"))
    }
  }
  return texts
}

function translate(texts: ReadonlyMap<string, string>, out: string): void {
  // Most calls find a translation, and loading the compiler takes a second.
  const ts = createRequire(import.meta.url)("typescript") as typeof import("typescript")
  const { ES2023 } = ts.ScriptTarget
  const compilerOptions = { target: ES2023, module: ts.ModuleKind.ESNext, verbatimModuleSyntax: true }
  mkdirSync(cache, { recursive: true })
  removeOld()
  const temporary = mkdtempSync(`${out}-`)
  // Its own, because node_modules hides that of the project.
  writeFileSync(join(temporary, "package.json"), '{"type":"module"}')
  for (const [source, text] of texts) {
    const target = join(temporary, relative(project, source).replace(/\.ts$/, ".js"))
    mkdirSync(dirname(target), { recursive: true })
    writeFileSync(target, ts.transpileModule(text, { compilerOptions }).outputText)
  }
  try {
    renameSync(temporary, out)
  } catch (error) {
    rmSync(temporary, { recursive: true })
    // Another process was faster.
    if (!existsSync(out)) throw error
  }
}

function removeOld(): void {
  for (const name of readdirSync(cache)) {
    const path = join(cache, name)
    if (statSync(path).mtimeMs < Date.now() - dayMs) rmSync(path, { recursive: true, force: true })
  }
}
