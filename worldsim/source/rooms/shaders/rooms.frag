#version 330
// Lights a building: one soft lamp a room, sun through windows with shadows of solids, darkened corners, fog.
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
out vec4 result;

vec3 linear(vec3 srgb) { return pow(srgb, vec3(2.2)); }

float hash(vec2 p) { return fract(sin(dot(p, vec2(127.1, 311.7))) * 43758.5453); }

// A line of `width` at whole numbers of x, smoothed to the size of a pixel.
float seam(float x, float width) {
    float d = abs(fract(x - 0.5) - 0.5);
    float w = fwidth(x);
    return (1.0 - smoothstep(width, width + w, d)) * clamp(width / max(w, 1e-4), 0.0, 1.0);
}

vec3 albedo(out float gloss) {
    gloss = 0.0;
    if (material >= 16) return linear(texture(pictures, vec3(surface, float(material - 16))).rgb);
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
    if (material == 4) {                                    // carpet with a border
        vec4 r = room_rect[room];
        float edge = min(min(surface.x - r.x, r.z - surface.x), min(surface.y - r.y, r.w - surface.y));
        float w = fwidth(edge);
        float border = smoothstep(0.45 - w, 0.45 + w, edge) - smoothstep(0.62 - w, 0.62 + w, edge);
        float outside = 1.0 - smoothstep(0.25 - w, 0.25 + w, edge);
        vec3 c = mix(colour, accent, border);
        return linear(mix(c, vec3(0.42, 0.33, 0.24), outside));
    }
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

float contact_shade() {
    float light = 1.0;
    if (normal.z > 0.5 && position.z < 0.02)
        for (int i = 0; i < solids; i++) {
            float d = length(position.xy - solid[i].xy) - solid[i].z;
            light *= 1.0 - 0.55 * exp(-max(d, 0.0) / 0.22);
        }
    return light;
}

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

void main() {
    float gloss;
    vec3 base = albedo(gloss);
    vec3 light;
    if (material == 6) {
        light = vec3(2.2);
    } else if (material == 7) {
        base = mix(vec3(0.95, 0.93, 0.85), vec3(0.42, 0.66, 0.98), smoothstep(0.0, 0.9, surface.y));
        base = mix(vec3(0.28, 0.4, 0.2), base, smoothstep(0.16, 0.22, surface.y + 0.05 * sin(surface.x * 9.0)));
        light = vec3(1.25);
    } else {
        vec4 r = room_rect[room];
        vec3 lamp = vec3((r.xy + r.zw) * 0.5, room_height[room] - 0.35);
        vec3 to = lamp - position;
        float d2 = dot(to, to);
        vec3 way = to * inversesqrt(d2);
        float wrap = max((dot(normal, way) + 0.35) / 1.35, 0.0);
        vec3 tint = linear(room_lamp[room]);
        light = tint * (0.3 + 0.16 * normal.z + 1.15 * wrap / (0.6 + 0.11 * d2));
        light *= corner_shade() * contact_shade();
        light += sun_colour * sun_light();
        vec3 view = normalize(eye - position);
        vec3 halfway = normalize(view + way);
        float fresnel = 0.08 + 0.5 * pow(1.0 - max(dot(normal, view), 0.0), 4.0);
        light += gloss * tint * pow(max(dot(normal, halfway), 0.0), 40.0) * 2.0 * fresnel;
    }
    vec3 c = base * light;
    float seen = exp(-fog_per_m * distance(eye, position));
    c = mix(linear(fog_colour), c, seen);
    c = c / (1.0 + 0.18 * c);                               // gentle shoulder instead of clipping
    result = vec4(pow(clamp(c, 0.0, 1.0), vec3(1.0 / 2.2)), 1.0);
}
