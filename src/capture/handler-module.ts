/** Loads a handler module and looks whether it is one. The worker runs it; the main thread needs its `needs` and `merge`. */
import { fileURLToPath } from 'node:url'
import { CaptureError } from '../errors.js'
import type { Handler } from '../handler.js'

const FUNCTIONS = ['open', 'packet', 'block', 'snapshot', 'merge', 'close'] as const

/** @throws CaptureError HANDLER_NOT_LOADED */
export async function loadHandler(url: string): Promise<Handler> {
  const shown = url.startsWith('file:') ? fileURLToPath(url) : url
  let module: { default?: unknown }
  try {
    module = (await import(url)) as { default?: unknown }
  } catch (error) {
    const thrown = error instanceof Error ? error.message.split('\n')[0] : String(error)
    throw new CaptureError('HANDLER_NOT_LOADED', `handler ${shown}: ${thrown}`, {
      cause: error,
      hint: hintFor(error, url),
    })
  }
  const handler = module.default
  const bad = complaint(handler)
  if (bad !== undefined)
    throw new CaptureError('HANDLER_NOT_LOADED', `handler ${shown}: ${bad}`, { hint: 'export default defineHandler({ packet(p, state) { … } })' })
  return handler as Handler
}

function hintFor(error: unknown, url: string): string {
  const isUnknown = (error as { code?: unknown } | null | undefined)?.code === 'ERR_UNKNOWN_FILE_EXTENSION'
  if (isUnknown && /\.[cm]?tsx?(?:[?#]|$)/.test(url)) return 'name the compiled .js, or run a Node.js that strips types: 22.18 or later'
  return 'a handler is an ES module whose default export is defineHandler({…})'
}

/** What keeps a value from being a handler; undefined: it is one. */
export function complaint(handler: unknown): string | undefined {
  if (typeof handler !== 'object' || handler === null) return `expected a default export that is an object, got ${handler === null ? 'null' : typeof handler}`
  const fields = handler as Record<string, unknown>
  for (const name of FUNCTIONS) {
    const value = fields[name]
    if (value !== undefined && typeof value !== 'function') return `expected ${name} to be a function, got ${typeof value}`
  }
  for (const name of ['packet', 'block', 'snapshot', 'merge'] as const) {
    if (fields[name] instanceof AsyncFunction) return `${name} must not be async: a packet is gone when the call returns`
  }
  if (fields.packet !== undefined && fields.block !== undefined) return 'it has both packet and block; a worker calls one of them'
  return undefined
}

const AsyncFunction = (async () => {}).constructor as new () => object
