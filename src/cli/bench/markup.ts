/** HTML as a value of its own type: text that was not written as markup here is escaped, wherever it goes. Pure. */

export class Markup {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

export type Insertable = Markup | string | number | readonly Insertable[]

/** A template whose holes are escaped unless they hold markup; lists are joined. Attributes must be in double quotes. */
export function html(strings: TemplateStringsArray, ...values: Insertable[]): Markup {
  let text = strings[0]
  values.forEach((value, index) => {
    text += insert(value) + strings[index + 1]
  })
  return new Markup(text)
}

export const NOTHING = new Markup('')

function insert(value: Insertable): string {
  if (value instanceof Markup) return value.text
  if (typeof value === 'object') return value.map(insert).join('')
  return escapeText(String(value))
}

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }

export function escapeText(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? character)
}
