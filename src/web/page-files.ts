import { readdirSync, readFileSync } from "node:fs"
import { extname, join } from "node:path"
import { fileURLToPath } from "node:url"

/** A file of the page. */
export interface PageFile {
  readonly type: string
  readonly body: Buffer
}

const types: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".json": "application/json",
  ".svg": "image/svg+xml",
}

/** Reads the files of the page, by their path in its address. */
export function readPageFiles(): ReadonlyMap<string, PageFile> {
  const folder = fileURLToPath(new URL("./page/", import.meta.url))
  const names = readdirSync(folder, { recursive: true, encoding: "utf8" })
  const files = names.flatMap((name) => {
    const type = types[extname(name)]
    if (type === undefined || name.endsWith("tsconfig.json")) return []
    const path = name === "index.html" ? "/" : `/${name.replaceAll("\\", "/")}`
    return [[path, { type, body: readFileSync(join(folder, name)) }] as const]
  })
  return new Map(files)
}
