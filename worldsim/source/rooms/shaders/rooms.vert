#version 330
// Passes a building's vertices on. Row layout: see geometry.py.
in vec3 in_position;
in vec3 in_normal;
in vec2 in_surface;
in vec3 in_colour;
in vec3 in_accent;
in vec2 in_kind;  // material, room
uniform mat4 view_projection;
uniform mat4 stands;      // of an entity's part; the building stands where it is
uniform int stands_in;    // the room of an entity, -1 for the building: each vertex knows its own
out vec3 position;
out vec3 normal;
out vec2 surface;
flat out vec3 colour;
flat out vec3 accent;
flat out int material;
flat out int room;

void main() {
    position = (stands * vec4(in_position, 1.0)).xyz;
    normal = mat3(stands) * in_normal;
    surface = in_surface;
    colour = in_colour;
    accent = in_accent;
    material = int(in_kind.x + 0.5);
    room = stands_in < 0 ? int(in_kind.y + 0.5) : stands_in;
    gl_Position = view_projection * vec4(position, 1.0);
}
