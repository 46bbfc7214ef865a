import { describe, expect, it } from 'vitest'
import { isLoopbackHost } from '../../src/dashboard/safety.ts'
import { ownPath } from '../../src/dashboard/sign-in.ts'
import { Html, render } from '../../src/dashboard/template.ts'

describe('where a sign-in leads back to', () => {
  it('is a page of this service, whatever the address asks for', () => {
    expect(ownPath('/jobs?state=failed&search=a%20b')).toBe('/jobs?state=failed&search=a%20b')
    for (const other of [
      '//evil.example/x',
      '/\\evil.example',
      '/\t/evil.example',
      'https://evil.example/',
      'javascript:alert(1)',
      '/..//evil.example',
      '/sign-out',
      '',
      undefined,
    ])
      expect(ownPath(other)).toBe('/')
  })
})

describe('pages without signing in', () => {
  it('answer to the names of this machine only, so that no page elsewhere can give it one of its own', () => {
    for (const host of ['127.0.0.1:8080', 'localhost', 'localhost:8080', '[::1]:8080', '127.8.9.1'])
      expect(isLoopbackHost(host)).toBe(true)
    for (const host of ['evil.example', 'localhost.evil.example', '127.0.0.1.evil.example', '10.0.0.1', '', undefined])
      expect(isLoopbackHost(host)).toBe(false)
  })
})

describe('templates', () => {
  it('write what others wrote as text, in elements and attributes, and only our own drawings as they are', () => {
    const evil = `"><img src=x onerror='alert(1)'>`
    const html = render('trouble', { title: evil, message: evil, base: evil })
    expect(html).not.toMatch(/<img|" onerror|'alert/)
    expect(html).toContain('&quot;&gt;&lt;img src&#x3D;x')
    expect(render('trouble', { title: new Html('<b>ours</b>'), message: '', base: '' })).toContain('<b>ours</b>')
  })
})
