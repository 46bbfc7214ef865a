import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { createMetrics } from '../../src/metrics.ts'

interface Rule {
  readonly alert: string
  readonly expr: string
  readonly for?: string
  readonly labels: { readonly severity: string }
  readonly annotations: { readonly summary: string; readonly description: string; readonly runbook: string }
}

const text = async (path: string) => readFile(new URL(`../../${path}`, import.meta.url), 'utf8')
const registered = createMetrics().registry.getMetricsAsArray() as unknown as { name: string; labelNames: string[] }[]
const labelsOf = new Map(registered.map(metric => [metric.name, metric.labelNames]))
const { groups } = parse(await text('deploy/alerts.yml')) as { groups: { name: string; rules: Rule[] }[] }
const rules = groups.flatMap(group => group.rules)

describe('the alert rules', () => {
  it('have a name of their own each', () => {
    expect(rules.length).toBeGreaterThan(20)
    expect(new Set(rules.map(rule => rule.alert)).size).toBe(rules.length)
  })

  it.each(rules.map(rule => [rule.alert, rule] as const))(
    '%s asks for what there is, and says what to do',
    async (_name, rule) => {
      expect(rule.alert).toMatch(/^Compops[A-Z]\w+$/)
      const names = [...rule.expr.matchAll(/\bcompops_\w+/g)].map(match => match[0])
      expect(names.length).toBeGreaterThan(0)
      for (const name of names) expect([name, labelsOf.has(name)]).toEqual([name, true])
      // `name{label="…"}`: a label that the metric does not have matches nothing, and the alert never comes.
      for (const [, name, matchers] of rule.expr.matchAll(/\b(compops_\w+)\{([^}]*)\}/g))
        for (const [, label] of matchers!.matchAll(/(\w+)\s*[!=]~?/g)) expect(labelsOf.get(name!)).toContain(label)
      for (const [, by] of rule.expr.matchAll(/\b(?:by|on)\s*\(([^)]*)\)/g))
        for (const label of by!
          .split(',')
          .map(one => one.trim())
          .filter(one => one !== 'instance'))
          expect(names.flatMap(name => labelsOf.get(name) ?? [])).toContain(label)
      for (const [, duration] of rule.expr.matchAll(/\[([^\]]*)\]/g)) expect(duration).toMatch(/^\d+[smhd]$/)
      if (rule.for !== undefined) expect(rule.for).toMatch(/^\d+[smhd]$/)
      expect(['critical', 'warning']).toContain(rule.labels.severity)
      for (const words of [rule.annotations.summary, rule.annotations.description, rule.annotations.runbook])
        expect(words.length).toBeGreaterThan(10)
      const help = await text('src/cli/dispatch.ts')
      for (const [, command] of rule.annotations.runbook.matchAll(/`compops (\w+)/g))
        expect(help).toContain(`\n  ${command}:`)
      for (const [, other] of rule.annotations.runbook.matchAll(/\b(Compops[A-Z]\w+)/g))
        expect(rules.map(one => one.alert)).toContain(other)
    },
  )
})

describe('the table of metrics', () => {
  it('has every metric with its labels, and no other', async () => {
    const table = new Map(
      [...(await text('deploy/README.md')).matchAll(/^\| `(compops_[a-z0-9_]+)` \| ([^|]*)\| ([^|]+)\|$/gm)].map(
        ([, name, labels]) =>
          [
            name!,
            labels!
              .split(',')
              .map(one => one.trim())
              .filter(Boolean),
          ] as const,
      ),
    )
    // Those of the process itself come from prom-client and share one line.
    const ours = registered.filter(({ name }) => !/^compops_(process|nodejs)_/.test(name))
    expect([...table.keys()].sort()).toEqual(ours.map(({ name }) => name).sort())
    for (const { name, labelNames } of ours) expect([name, table.get(name)]).toEqual([name, labelNames])
  })
})
