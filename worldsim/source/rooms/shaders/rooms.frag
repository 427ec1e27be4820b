#version 330
// Lights a building: one soft lamp a room, sun through windows with shadows of solids, darkened corners, fog; fires,
// water and screens that move; and events: night, fog, lights out, party. Compiled for each class of surfaces: FLOOR,
// SHOW for what moves by itself, or neither; and with PARTY while there is one: a renderer in software runs all of it.
const int MAX_ROOMS = 8;
const int MAX_SOLIDS = 24;
const int MAX_WINDOWS = 4;
in vec3 position;
in vec3 normal;
in vec2 surface;
flat in vec3 colour;
flat in vec3 accent;
flat in int material;
flat in int room;
uniform vec3 eye;
uniform vec4 room_rect[MAX_ROOMS];
uniform float room_height[MAX_ROOMS];
uniform vec3 room_lamp[MAX_ROOMS];
uniform int solids;
uniform vec4 solid[MAX_SOLIDS];         // x, y, radius, height
uniform int windows;
uniform vec3 window_centre[MAX_WINDOWS];
uniform vec3 window_along[MAX_WINDOWS];
uniform vec3 window_normal[MAX_WINDOWS];
uniform vec2 window_half[MAX_WINDOWS];
uniform vec3 sun_direction;
uniform vec3 sun_colour;
uniform vec3 fog_colour;
uniform float fog_per_m;
uniform sampler2DArray pictures;
const int MAX_MOVERS = 16;
const int MAX_FIRES = 4;
uniform int movers;
uniform vec4 mover[MAX_MOVERS];         // x, y, radius, strength of what moves and darkens the floor
uniform int fires;
uniform vec3 fire[MAX_FIRES];
uniform float flicker;
uniform float room_lit[MAX_ROOMS];
uniform float seconds;                  // by which fires, water and screens move
uniform float night;                    // events, from 0 to 1
uniform float lights_out;
uniform float party;
out vec4 result;

vec3 linear(vec3 srgb) { return pow(srgb, vec3(2.2)); }

float hash(vec2 p) { return fract(sin(dot(p, vec2(127.1, 311.7))) * 43758.5453); }

// A line of `width` at whole numbers of x, smoothed to the size of a pixel.
float seam(float x, float width) {
    float d = abs(fract(x - 0.5) - 0.5);
    float w = fwidth(x);
    return (1.0 - smoothstep(width, width + w, d)) * clamp(width / max(w, 1e-4), 0.0, 1.0);
}

#ifdef SHOW
float noise(vec2 p) {
    vec2 i = floor(p), f = fract(p);
    f = f * f * (3.0 - 2.0 * f);
    return mix(mix(hash(i), hash(i + vec2(1, 0)), f.x), mix(hash(i + vec2(0, 1)), hash(i + vec2(1, 1)), f.x), f.y);
}

vec3 flames(vec2 s) {
    float t = seconds;
    float n = 0.65 * noise(vec2(s.x * 5.0, s.y * 3.0 - t * 2.4)) + 0.35 * noise(vec2(s.x * 11.0 + 7.0, s.y * 6.0 - t * 4.1));
    float sway = 0.08 * sin(t * 1.7 + s.y * 4.0);
    float body = 1.0 - abs(s.x - 0.5 + sway * s.y) * (2.0 + 1.4 * s.y);
    float heat = clamp(body * 1.25 - s.y * 1.15 + (n - 0.5) * 1.2, 0.0, 1.0);
    vec3 back = mix(vec3(0.05, 0.035, 0.03), vec3(0.16, 0.06, 0.03), 1.0 - s.y);
    vec3 c = mix(vec3(0.75, 0.1, 0.01), vec3(1.6, 0.55, 0.05), smoothstep(0.05, 0.45, heat));
    c = mix(c, vec3(2.2, 1.5, 0.6), smoothstep(0.5, 0.95, heat));
    c = mix(back, c, smoothstep(0.02, 0.18, heat));
    float log_ = smoothstep(0.1, 0.07, s.y) * step(0.14, s.x) * step(s.x, 0.86);
    return mix(c, vec3(0.09, 0.05, 0.03) + vec3(0.5, 0.1, 0.0) * n, log_);
}

vec3 screen(vec2 s) {
    float t = seconds;
    vec3 c = mix(vec3(0.04, 0.08, 0.3), vec3(0.1, 0.5, 0.5), 0.5 + 0.5 * sin(6.2832 * s.x * 1.5 - t * 1.3));
    c = mix(c, vec3(0.55, 0.12, 0.4), smoothstep(0.45, 0.55, 0.5 + 0.5 * sin(6.2832 * (s.y * 1.0 + t * 0.21))) * 0.8);
    vec2 at = vec2(0.14, 0.18) + vec2(0.72, 0.64) * abs(fract(vec2(t * 0.19, t * 0.27)) * 2.0 - 1.0);
    float d = length((s - at) * vec2(1.5, 1.0));
    c = mix(c, vec3(1.3, 1.15, 0.35), smoothstep(0.15, 0.12, d));
    return c;
}
#endif

#ifdef PARTY
vec3 party_light() {
    vec3 p = position;
    vec3 wave = 0.5 + 0.5 * cos(6.2832 * (vec3(0.0, 0.33, 0.67) + 0.21 * p.x + 0.29 * p.y + 0.17 * p.z));
    float spots = smoothstep(0.1, 0.5, sin(p.x * 2.1 + p.z * 1.3) * sin(p.y * 2.3 - p.z * 1.7));
    return wave * wave * (0.35 + 1.5 * spots) + vec3(0.12, 0.03, 0.16);
}
#endif

vec3 fire_light() {
    vec3 total = vec3(0.0);
    for (int i = 0; i < fires; i++) {
        vec3 to = fire[i] - position;
        float d2 = dot(to, to);
        float facing = max((dot(normal, to * inversesqrt(d2 + 1e-4)) + 0.3) / 1.3, 0.0);
        total += vec3(1.0, 0.42, 0.12) * flicker * facing / (0.35 + 1.1 * d2);
    }
    return total;
}

#if defined FLOOR
vec3 albedo(out float gloss) {
    gloss = 0.0;
    if (material == 2) {                                    // planks along x
        float row = floor(surface.y / 0.42);
        float along = surface.x / 2.6 + hash(vec2(row, 3.0));
        float tone = hash(vec2(row, floor(along)));
        vec3 c = mix(colour, accent, tone);
        float line = max(seam(surface.y / 0.42, 0.02), seam(along, 0.006));
        gloss = 0.25;
        return linear(c * (1.0 - 0.45 * line));
    }
    if (material == 3) {                                    // checkered tiles of 1 m
        vec2 w = fwidth(surface);
        vec2 s = surface / 1.1;
        vec2 t = abs(fract(s * 0.5) - 0.5) * 2.0 - 0.5;
        vec2 q = clamp(t / max(w, vec2(1e-4)) * 1.1 + 0.5, 0.0, 1.0);
        float odd = q.x * (1.0 - q.y) + q.y * (1.0 - q.x);
        gloss = 0.5;
        return linear(mix(colour, accent, odd));
    }
    vec4 r = room_rect[room];                               // carpet with a border
    float edge = min(min(surface.x - r.x, r.z - surface.x), min(surface.y - r.y, r.w - surface.y));
    float w = fwidth(edge);
    float border = smoothstep(0.45 - w, 0.45 + w, edge) - smoothstep(0.62 - w, 0.62 + w, edge);
    float outside = 1.0 - smoothstep(0.25 - w, 0.25 + w, edge);
    vec3 c = mix(colour, accent, border);
    return linear(mix(c, vec3(0.42, 0.33, 0.24), outside));
}
#elif defined SHOW
vec3 albedo(out float gloss) {
    gloss = 1.0;
    if (material == 9) return flames(surface);
    if (material == 11) return screen(surface);
    if (material == 10) {                                   // water in a basin
        float rings = sin(length(position.xy - floor(position.xy)) * 9.0 - seconds * 3.0);
        float w = noise(position.xy * 6.0 + vec2(seconds * 0.9, -seconds * 0.7)) + 0.4 * rings;
        return linear(mix(colour * 0.75, vec3(0.85, 0.95, 1.0), smoothstep(0.75, 1.25, w)));
    }
    gloss = 0.0;                                            // water that falls
    float fall = noise(vec2(atan(normal.y, normal.x) * 5.0, position.z * 5.0 + seconds * 4.0));
    return linear(mix(vec3(0.45, 0.65, 0.78), vec3(0.95, 0.98, 1.0), smoothstep(0.3, 0.75, fall)));
}
#else
vec3 albedo(out float gloss) {
    gloss = 0.0;
    if (material >= 16) return linear(texture(pictures, vec3(surface, float(material - 16))).rgb);
    if (material == 1) {                                    // plaster with a skirting board and a rail
        float z = position.z;
        float w = fwidth(z);
        vec3 c = mix(colour * 0.78, colour, smoothstep(1.0 - w, 1.0 + w, z));
        float rail = smoothstep(0.97 - w, 0.97 + w, z) - smoothstep(1.05 - w, 1.05 + w, z);
        float board = 1.0 - smoothstep(0.16 - w, 0.16 + w, z);
        c = mix(c, vec3(0.86, 0.82, 0.75), max(rail, board));
        return linear(c);
    }
    if (material == 8) gloss = 1.0;
    return linear(colour);
}
#endif

float corner_shade() {
    vec4 r = room_rect[room];
    vec3 inside = vec3(1.0) - abs(normal);
    float x = min(position.x - r.x, r.z - position.x);
    float y = min(position.y - r.y, r.w - position.y);
    float z = min(position.z, room_height[room] - position.z);
    vec3 d = max(vec3(x, y, z), 0.0);
    vec3 dark = 0.34 * exp(-d / 0.4) * inside;
    return (1.0 - dark.x) * (1.0 - dark.y) * (1.0 - dark.z);
}

#ifdef FLOOR
// What stands on the floor, or moves over it, darkens it around its foot.
float contact_shade() {
    float light = 1.0;
    for (int i = 0; i < solids; i++) {
        float d = length(position.xy - solid[i].xy) - solid[i].z;
        light *= 1.0 - 0.55 * exp(-max(d, 0.0) / 0.22);
    }
    for (int i = 0; i < movers; i++) {
        float d = length(position.xy - mover[i].xy) - 0.6 * mover[i].z;
        light *= 1.0 - mover[i].w * exp(-max(d, 0.0) / (0.5 * mover[i].z));
    }
    return light;
}
#endif

float sun_light() {
    float total = 0.0;
    float facing = max(dot(normal, -sun_direction), 0.0);
    if (facing <= 0.0) return 0.0;
    for (int i = 0; i < windows; i++) {
        float slope = dot(window_normal[i], sun_direction);
        float t = dot(position - window_centre[i], window_normal[i]) / slope;
        if (t < 0.02) continue;
        vec3 hit = position - t * sun_direction - window_centre[i];
        vec2 at = vec2(dot(hit, window_along[i]), hit.z);
        vec2 edge = window_half[i] - abs(at);
        float soft = 0.015 + 0.02 * t;
        float lit = smoothstep(-soft, soft, edge.x) * smoothstep(-soft, soft, edge.y);
        lit *= smoothstep(0.02, 0.02 + 2.0 * soft, abs(at.x));
        lit *= smoothstep(0.02, 0.02 + 2.0 * soft, abs(at.y - 0.12 * 2.0 * window_half[i].y));
        if (lit <= 0.0) continue;
        vec2 way = -sun_direction.xy;
        float flat_length = length(way);
        way /= flat_length;
        for (int k = 0; k < solids; k++) {
            vec2 to = solid[k].xy - position.xy;
            float along = dot(to, way);
            if (along < 0.05) continue;
            float off = abs(to.x * way.y - to.y * way.x) - solid[k].z;
            float height = position.z - sun_direction.z / flat_length * along;
            float shade = (1.0 - smoothstep(-0.04, 0.04, off)) * (1.0 - smoothstep(-0.05, 0.05, height - solid[k].w));
            lit *= 1.0 - shade;
        }
        total += lit;
    }
    return total * facing;
}

vec3 lit(vec3 base, float gloss, float lamps) {
    vec4 r = room_rect[room];
    vec3 lamp = vec3((r.xy + r.zw) * 0.5, room_height[room] - 0.35);
    vec3 to = lamp - position;
    float d2 = dot(to, to);
    vec3 way = to * inversesqrt(d2);
    float wrap = max((dot(normal, way) + 0.35) / 1.35, 0.0);
    vec3 tint = linear(room_lamp[room]);
    vec3 light = tint * (0.3 + 0.16 * normal.z + 1.15 * wrap / (0.6 + 0.11 * d2));
    light *= mix(vec3(1.0), vec3(1.0, 0.8, 0.58), night) * lamps;
    light += vec3(0.022, 0.024, 0.03) * (1.0 - lamps) + vec3(0.02, 0.035, 0.08) * night;
#ifdef PARTY
    light += party * 1.1 * party_light() * room_lit[room];
#endif
    light *= corner_shade();
#ifdef FLOOR
    light *= contact_shade();
#endif
    vec3 daylight = mix(sun_colour, vec3(0.16, 0.24, 0.5), night) * (1.0 - 0.8 * lights_out) * (1.0 - 0.8 * party);
    light += daylight * sun_light() + fire_light();
    vec3 view = normalize(eye - position);
    vec3 halfway = normalize(view + way);
    float fresnel = 0.08 + 0.5 * pow(1.0 - max(dot(normal, view), 0.0), 4.0);
    light += gloss * tint * pow(max(dot(normal, halfway), 0.0), 40.0) * 2.0 * fresnel * lamps;
    return base * light;
}

void main() {
    float gloss;
    vec3 base = albedo(gloss);
    float lamps = room_lit[room] * (1.0 - 0.72 * night) * (1.0 - 0.97 * lights_out) * (1.0 - 0.75 * party);
    vec3 c;
#if defined FLOOR
    c = lit(base, gloss, lamps);
#elif defined SHOW
    c = material == 9 ? base : material == 11 ? base * 1.25 : lit(base, gloss, lamps);
#else
    if (material == 6) {
        c = base * (2.2 * lamps + 0.04);
    } else if (material == 13) {
        c = base * 1.5;
    } else if (material == 7) {
        c = mix(vec3(0.95, 0.93, 0.85), vec3(0.42, 0.66, 0.98), smoothstep(0.0, 0.9, surface.y));
        c = mix(vec3(0.28, 0.4, 0.2), c, smoothstep(0.16, 0.22, surface.y + 0.05 * sin(surface.x * 9.0)));
        c = mix(c, vec3(0.02, 0.035, 0.1) + vec3(0.5) * step(0.985, hash(floor(surface * 24.0))), night) * 1.25;
    } else {
        c = lit(base, gloss, lamps);
    }
#endif
    float seen = exp(-fog_per_m * distance(eye, position));
    c = mix(linear(fog_colour * mix(0.3, 1.0, room_lit[room])), c, seen);
    c = c / (1.0 + 0.18 * c);                               // gentle shoulder instead of clipping
    result = vec4(pow(clamp(c, 0.0, 1.0), vec3(1.0 / 2.2)), 1.0);
}
